// Constants that go back to a content which they had before get the copy of then: pointers kept in
// long-lived objects stay equal, and nothing piles up when patches come and go.
//
// Every copy of a constant stays until its module goes (Module::kept). One is used again when
// linking the constant now would give the very same bytes, that is when its content is the same and
// what it points to stands where it stood. So a constant is decided upon after what it points to.
// Constants that point to each other in circles are taken to be good at first, and those that are
// not are found out one by one.
#include "enclave/loader/operation.hpp"

namespace sgxdl {

// Calls use(copy) for every earlier copy of the same content until it returns true.
template <class Use>
void Operation::for_each_copy(uint32_t index, Use&& use) {
    const Definition& d = *effective(module_->units[index]);
    for (Instance* copy : module_->kept) {
        if (copy->definition->unit == index && same_content(*copy->definition, d) && use(copy))
            return;
    }
}

Result<bool> Operation::find_copies(Budget& budget) {
    for (; cursor_ < link_.size(); ++cursor_) {
        if (budget.spent()) return false;
        Unit& unit = module_->units[link_[cursor_]];
        if (unit.kind != UnitKind::constant || !unit.live) continue;
        budget.spend(Budget::record * static_cast<int64_t>(module_->kept.size() + 1));
        Instance* first = nullptr;
        for_each_copy(link_[cursor_], [&](Instance* copy) { return first = copy; });
        if (!first) continue;
        if (!undecided_.push(link_[cursor_]) || !reused_.reserve(undecided_.size()))
            return make_error(Code::no_memory, "list of constants");
        unit.mark = mark_undecided;
        unit.next = first;
    }
    return true;
}

bool Operation::waits(uint32_t index) const {
    const Definition& d = *effective(module_->units[index]);
    const Piece& piece = d.bundle->pieces[d.bundle->piece_order[d.first_piece]];
    for (uint32_t i = 0; i < piece.rela_count; ++i) {
        const elf::Rela r = elf::Rela::read(piece.relas + i * elf::rela_size);
        const uint32_t to = target_unit(*d.bundle, d.bundle->targets[r.symbol]);
        if (to != none && to != index && module_->units[to].mark == mark_undecided) return true;
    }
    return false;
}

// Links the unit as it would be at the address of `next`, and compares.
Result<bool> Operation::equals_copy(const Unit& unit) {
    const Definition& d = *effective(unit);
    const Piece& piece = d.bundle->pieces[d.bundle->piece_order[d.first_piece]];
    for (uint32_t i = 0; i < piece.rela_count; ++i) {
        const elf::Rela r = elf::Rela::read(piece.relas + i * elf::rela_size);
        const Target& target = d.bundle->targets[r.symbol];
        if (relocation_uses_got(static_cast<RelocationType>(r.type))) return false;
        const uint32_t to = target_unit(*d.bundle, target);
        if (to == none) continue;
        const Unit& other = module_->units[to];
        if (other.kind == UnitKind::text ? module_->symbols[target.index].stub == none
                                         : other.mark == mark_link && !other.next)
            return false;  // no address yet
    }
    auto* bytes = static_cast<uint8_t*>(Platform::allocate(piece.size));
    if (!bytes) return make_error(Code::no_memory, "%u bytes", piece.size);
    const uintptr_t address = unit.next->address[static_cast<size_t>(piece.part)];
    auto linked = link_piece(unit, piece, bytes, address);
    const bool equal =
        linked && memcmp(bytes, reinterpret_cast<const void*>(address), piece.size) == 0;
    Platform::deallocate(bytes);
    return equal;
}

Result<bool> Operation::settle_copies(Budget& budget) {
    while (cursor_ < undecided_.size()) {
        if (budget.spent()) return false;
        const uint32_t index = undecided_[cursor_];
        Unit& unit = module_->units[index];
        const Definition& d = *effective(unit);
        budget.spend(Budget::record + static_cast<int64_t>(d.size[1]) / Budget::bytes_per_unit);
        if (waits(index)) {
            ++cursor_;
            continue;
        }
        Result<bool> equal = false;
        for_each_copy(index, [&](Instance* copy) {
            unit.next = copy;
            equal = equals_copy(unit);
            return !equal || *equal;
        });
        if (!equal) return equal;
        unit.mark = mark_link;
        if (!*equal) unit.next = nullptr;
        if (*equal) (void)reused_.push(index);  // find_copies() made the room
        undecided_.remove_unordered(cursor_);
        cursor_ = 0;  // others may have waited for it
    }
    for (uint32_t index : undecided_) {
        module_->units[index].mark = mark_link;
        (void)reused_.push(index);
    }
    undecided_.truncate(0);
    return true;
}

Result<bool> Operation::check_copies(Budget& budget) {
    while (cursor_ < reused_.size()) {
        if (budget.spent()) return false;
        Unit& unit = module_->units[reused_[cursor_]];
        const Definition& d = *effective(unit);
        budget.spend(Budget::record + static_cast<int64_t>(d.size[1]) / Budget::bytes_per_unit);
        auto equal = equals_copy(unit);
        if (!equal) return equal;
        if (*equal) {
            ++cursor_;
            continue;
        }
        // What points to it may be wrong, too.
        unit.next = nullptr;
        reused_.remove_unordered(cursor_);
        cursor_ = 0;
    }
    size_t rest = 0;
    for (size_t i = 0; i < link_.size(); ++i) {
        if (!module_->units[link_[i]].next) link_[rest++] = link_[i];
    }
    link_.truncate(rest);
    progress_.relocations = 0;  // nothing is linked yet
    return true;
}

}  // namespace sgxdl
