// A hash map from names to 32-bit indices: open addressing, linear probing, at most half full.
// The names are not copied; they outlive the map.
#pragma once

#include <cstdint>
#include <string_view>

#include "enclave/loader/vec.hpp"

namespace sgxdl {

class NameMap {
 public:
    static constexpr uint32_t absent = UINT32_MAX;

    // Makes room so that `count` names in all fit without another allocation.
    [[nodiscard]] bool reserve(size_t count) {
        size_t slots = 16;
        while (slots < count * 2)
            slots *= 2;
        if (slots <= slots_.size()) return true;
        NameMap larger;
        if (!larger.slots_.resize(slots)) return false;
        for (const Slot& slot : slots_) {
            if (slot.name.data()) larger.place(slot);
        }
        slots_.swap(larger.slots_);
        return true;
    }
    // Adds a name that is not there yet. reserve() made the room.
    void insert(std::string_view name, uint32_t index) {
        SGXDL_ASSERT((count_ + 1) * 2 <= slots_.size());
        place(Slot{name, hash(name), index});
        ++count_;
    }
    uint32_t find(std::string_view name) const {
        if (slots_.empty()) return absent;
        const uint32_t wanted = hash(name);
        for (size_t i = wanted & (slots_.size() - 1);; i = (i + 1) & (slots_.size() - 1)) {
            const Slot& slot = slots_.begin()[i];
            if (!slot.name.data()) return absent;
            if (slot.hash == wanted && slot.name == name) return slot.index;
        }
    }
    size_t size() const { return count_; }

 private:
    struct Slot {
        std::string_view name;
        uint32_t hash = 0;
        uint32_t index = 0;
    };
    // FNV-1a: the names are signed by the vendor, so nobody floods the map on purpose.
    static uint32_t hash(std::string_view name) {
        uint32_t value = 2166136261u;
        for (char c : name)
            value = (value ^ static_cast<uint8_t>(c)) * 16777619u;
        return value ^ (value >> 15);
    }
    void place(const Slot& slot) {
        size_t i = slot.hash & (slots_.size() - 1);
        while (slots_.begin()[i].name.data())
            i = (i + 1) & (slots_.size() - 1);
        slots_.begin()[i] = slot;
    }

    Vec<Slot> slots_;
    size_t count_ = 0;
};

}  // namespace sgxdl
