// All enclaves of this process: looked up by descriptor or address, from handlers too.
// Signals are blocked in all callers (lock.hpp); none of them holds an enclave's lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "emulator/enclave.hpp"

namespace sgxemu {

// Holds one reference.
class EnclaveRef {
 public:
    EnclaveRef() = default;
    // Takes over a reference that the caller has.
    explicit EnclaveRef(Enclave* enclave) : enclave_(enclave) {}
    EnclaveRef(EnclaveRef&& other) noexcept : enclave_(std::exchange(other.enclave_, nullptr)) {}
    EnclaveRef& operator=(EnclaveRef&& other) noexcept {
        std::swap(enclave_, other.enclave_);
        return *this;
    }
    ~EnclaveRef();
    explicit operator bool() const { return enclave_ != nullptr; }
    Enclave* operator->() const { return enclave_; }
    Enclave& operator*() const { return *enclave_; }
    Enclave* get() const { return enclave_; }
    // Gives the reference to the caller.
    Enclave* release() { return std::exchange(enclave_, nullptr); }

 private:
    Enclave* enclave_ = nullptr;
};

void drop_reference(Enclave* enclave);

// Adds a new enclave, held by its one descriptor. False: too many.
bool register_enclave(Enclave* enclave, int fd);
// The descriptor's enclave. A number that was closed behind the emulator's back and now is another
// file is not mistaken for it.
EnclaveRef find_by_descriptor(int fd);
// The enclave that is mapped at the address.
EnclaveRef find_by_address(uintptr_t address);
size_t enclave_count();

// The program made `to` a duplicate of `from`. False: that is no enclave's.
bool add_descriptor(int from, int to);
// The descriptor is about to be closed. False: it is no enclave's.
bool release_descriptor(int fd);
void release_descriptors(unsigned int first, unsigned int last);
// True in a forked child for a descriptor of an enclave that the parent has.
bool is_lost_descriptor(int fd);
// After a change of enclave.vmas, without its lock: takes or drops the mappings' reference.
void update_mapping_hold(Enclave& enclave);

inline constexpr size_t max_enclaves = 1024;
// The enclave in slot i, referenced; empty when there is none.
EnclaveRef enclave_in_slot(size_t i);

template <class F>
void for_each_enclave(F f) {
    for (size_t i = 0; i < max_enclaves; ++i) {
        if (EnclaveRef enclave = enclave_in_slot(i)) f(*enclave);
    }
}

}  // namespace sgxemu
