#include "enclave/loader/operation.hpp"

#include "enclave/loader/verify.hpp"

namespace sgxdl {

// The five paths through the loader. Up to publish a failure leaves nothing behind.
std::span<const Operation::Step> Operation::pipeline(Kind kind) {
    using O = Operation;
    static constexpr Step load[] = {
        {&O::verify, Stage::verified},
        {&O::read_header, Stage::verified},
        {&O::read_sections, Stage::verified},
        {&O::make_definitions, Stage::verified},
        {&O::read_symbols, Stage::verified},
        {&O::bind_units, Stage::verified},
        {&O::bind_targets, Stage::verified},
        {&O::check_relocations, Stage::decoded},
        {&O::adopt, Stage::decoded},
        {&O::choose_roots, Stage::decoded},
        {&O::reach, Stage::decoded},
        {&O::survey, Stage::decoded},
        {&O::place, Stage::decoded},
        {&O::take_memory, Stage::planned},
        {&O::grow_stubs, Stage::building},
        {&O::link_code, Stage::building},
        {&O::link_tables, Stage::building},
        {&O::link_constants, Stage::building},
        {&O::link_veneers, Stage::building},
        {&O::link_data, Stage::building},
        {&O::reserve_records, Stage::building},
        {&O::fill_table, Stage::building},
        {&O::publish, Stage::current},
    };
    static constexpr Step extend[] = {
        {&O::choose_roots, Stage::decoded},    {&O::reach, Stage::decoded},
        {&O::survey, Stage::decoded},          {&O::place, Stage::decoded},
        {&O::take_memory, Stage::planned},     {&O::grow_stubs, Stage::building},
        {&O::link_code, Stage::building},      {&O::link_tables, Stage::building},
        {&O::link_constants, Stage::building}, {&O::link_veneers, Stage::building},
        {&O::link_data, Stage::building},      {&O::reserve_records, Stage::building},
        {&O::fill_table, Stage::building},     {&O::publish, Stage::current},
    };
    static constexpr Step patch[] = {
        {&O::verify, Stage::verified},
        {&O::read_header, Stage::verified},
        {&O::read_sections, Stage::verified},
        {&O::make_definitions, Stage::verified},
        {&O::read_symbols, Stage::verified},
        {&O::bind_units, Stage::verified},
        {&O::bind_targets, Stage::verified},
        {&O::check_relocations, Stage::decoded},
        {&O::adopt, Stage::decoded},
        {&O::find_edges, Stage::decoded},
        {&O::drop_removed, Stage::decoded},
        {&O::close_over, Stage::decoded},
        {&O::reach, Stage::decoded},
        {&O::find_copies, Stage::decoded},
        {&O::settle_copies, Stage::decoded},
        {&O::check_copies, Stage::decoded},
        {&O::survey, Stage::decoded},
        {&O::place, Stage::decoded},
        {&O::take_memory, Stage::planned},
        {&O::grow_stubs, Stage::building},
        {&O::link_code, Stage::building},
        {&O::link_tables, Stage::building},
        {&O::link_constants, Stage::building},
        {&O::link_veneers, Stage::building},
        {&O::link_data, Stage::building},
        {&O::reserve_records, Stage::building},
        {&O::prepare_generation, Stage::building},
        {&O::copy_table, Stage::building},
        {&O::fill_table, Stage::building},
        {&O::publish, Stage::current},
    };
    static constexpr Step rollback[] = {
        {&O::restore, Stage::decoded},
        {&O::find_edges, Stage::decoded},
        {&O::drop_removed, Stage::decoded},
        {&O::close_over, Stage::decoded},
        {&O::reach, Stage::decoded},
        {&O::find_copies, Stage::decoded},
        {&O::settle_copies, Stage::decoded},
        {&O::check_copies, Stage::decoded},
        {&O::survey, Stage::decoded},
        {&O::place, Stage::decoded},
        {&O::take_memory, Stage::planned},
        {&O::grow_stubs, Stage::building},
        {&O::link_code, Stage::building},
        {&O::link_tables, Stage::building},
        {&O::link_constants, Stage::building},
        {&O::link_veneers, Stage::building},
        {&O::link_data, Stage::building},
        {&O::reserve_records, Stage::building},
        {&O::prepare_generation, Stage::building},
        {&O::copy_table, Stage::building},
        {&O::fill_table, Stage::building},
        {&O::publish, Stage::current},
    };
    static constexpr Step unload[] = {
        {&O::choose_kept, Stage::verified},        {&O::spread_kept, Stage::verified},
        {&O::choose_dropped, Stage::planned},      {&O::reserve_records, Stage::building},
        {&O::prepare_generation, Stage::building}, {&O::copy_table, Stage::building},
        {&O::fill_table, Stage::building},         {&O::publish, Stage::current},
    };
    switch (kind) {
        case Kind::load:
            return load;
        case Kind::extend:
            return extend;
        case Kind::patch:
            return patch;
        case Kind::rollback:
            return rollback;
        case Kind::unload:
            break;
    }
    return unload;
}

Result<void> Operation::parse_names(std::span<const char> names) {
    if (!names.empty() && names[names.size() - 1] != '\0')
        return make_error(Code::no_such_symbol, "list of names does not end in NUL");
    if (!names_.reserve(names.size() + 1)) return make_error(Code::no_memory, "list of names");
    for (char c : names)
        (void)names_.push(c);
    return {};
}

// From here on the operation may grow the module's arrays; abandoning it cuts them off again.
void Operation::use_module(Module* module) {
    module_ = module;
    if (!module) return;
    old_symbols_ = module->symbols.size();
    old_units_ = module->units.size();
    old_imports_ = module->imports.size();
    old_names_ = module->owned_names.size();
    old_slots_ = module->constant_slots.size();
}

Result<void> Operation::begin_bundle(const sgxdl_bundle_header& header,
                                     std::span<const char> names) {
    SGXDL_TRY(parse_names(names));
    SGXDL_TRY(check_header(core_, header));
    use_module(core_.find_module(header.module));
    if (kind_ == Kind::patch) {
        if (!module_) return make_error(Code::no_such_module, "'%s' is not loaded", header.module);
        if (!names.empty())
            return make_error(Code::bad_state, "a patch is applied whole, not by function");
        const Bundle& newest = *module_->newest();
        if (memcmp(header.predecessor, newest.digest, sizeof newest.digest) != 0) {
            return make_error(Code::wrong_predecessor,
                              "'%s' is at %s, the patch to %s was made for another state",
                              header.module, newest.header.version, header.version);
        }
    } else if (module_) {
        return make_error(Code::already_loaded, "module '%s'", header.module);
    }
    bundle_ = create<Bundle>();
    if (!bundle_) return make_error(Code::no_memory, "bundle record");
    reference(bundle_);
    bundle_->header = header;
    bundle_digest(header, bundle_->digest);
    bundle_->payload = static_cast<uint8_t*>(Platform::reserve(header.payload_size));
    decoder_ = create<Decoder>(*bundle_);
    if (!bundle_->payload || !decoder_)
        return make_error(Code::no_memory, "%u bytes of payload", header.payload_size);
    crypto_generichash_init(&bundle_->hash, nullptr, 0, sizeof header.payload_digest);
    if (!module_) {
        module_ = create<Module>();
        if (!module_) return make_error(Code::no_memory, "module record");
        new_module_ = true;
        module_->base = bundle_;
        module_->name = bundle_->header.module;
        module_->whole = names.empty();
        reference(bundle_);
    }
    progress_.stage = Stage::receiving;
    log_stage();
    return {};
}

Result<void> Operation::begin_module(const char* name, std::span<const char> names, bool force) {
    SGXDL_TRY(parse_names(names));
    force_ = force;
    use_module(core_.find_module(name));
    if (!module_) return make_error(Code::no_such_module, "'%s' is not loaded", name);
    if (kind_ == Kind::rollback) {
        if (module_->patches.empty())
            return make_error(Code::rollback_refused, "'%s' has no patch", name);
        const sgxdl_bundle_header& newest = module_->newest()->header;
        if (!(newest.flags & SGXDL_BUNDLE_ROLLBACK_ALLOWED)) {
            return make_error(Code::rollback_refused, "the patch of '%s' to %s does not allow it",
                              name, newest.version);
        }
    }
    progress_.stage = Stage::verified;
    log_stage();
    return {};
}

Result<void> Operation::feed(std::span<const uint8_t> bytes) {
    if (!bundle_ || pass_ > 0 || cursor_ > 0)
        return make_error(Code::bad_state, "no payload is expected");
    if (bytes.size() > bundle_->header.payload_size - bundle_->received) {
        return make_error(Code::too_large, "more payload than the %u bytes of the header",
                          bundle_->header.payload_size);
    }
    if (!Platform::extend(bundle_->payload, bundle_->received + bytes.size()))
        return make_error(Code::no_memory, "%u bytes of payload", bundle_->header.payload_size);
    memcpy(bundle_->payload + bundle_->received, bytes.data(), bytes.size());
    crypto_generichash_update(&bundle_->hash, bytes.data(), bytes.size());
    bundle_->received += bytes.size();
    return {};
}

Result<void> Operation::step() {
    const auto passes = pipeline(kind_);
    Budget budget;
    ++progress_.slices;
    while (pass_ < passes.size() && !budget.spent()) {
        auto finished = (this->*passes[pass_].run)(budget);
        if (!finished) return finished.error();
        if (!*finished) return {};
        if (progress_.stage != passes[pass_].reached) {
            progress_.stage = passes[pass_].reached;
            log_stage();
        }
        ++pass_;
        cursor_ = 0;
    }
    if (pass_ == passes.size()) progress_.done = 1;
    return {};
}

void Operation::log_stage() {
    static constexpr const char* kinds[] = {"load", "extend", "patch", "rollback", "unload"};
    const Error line = make_error(
        Code::ok, "%s %s: %s, generation %u, %u functions, %u relocations, %u bytes of code",
        kinds[static_cast<size_t>(kind_)], module_ ? module_->name.data() : "",
        stage_text(progress_.stage), core_.generations.current()->number,
        static_cast<uint64_t>(progress_.functions), static_cast<uint64_t>(progress_.relocations),
        progress_.text_bytes);
    core_.platform.log(line.context);
}

Operation::~Operation() {
    if (decoder_) destroy(decoder_);
    if (window_) core_.platform.staging_free(window_, window_pages_);
    if (!published_) {
        if (progress_.stage != Stage::idle) {
            progress_.stage = Stage::abandoned;
            log_stage();
        }
        core_.generations.drop_pending();
        if (module_) {
            for (const Slot& slot : slots_) {
                slot_address(slot) = 0;
                if (slot.constant == none) continue;
                module_->symbols[slot.symbol].first_slot =
                    module_->constant_slots[slot.constant].next;
            }
            Vec<uint32_t> stubs;
            (void)stubs.reserve(new_stubs_.size());
            for (uint32_t index : new_stubs_) {
                ModuleSymbol& symbol = module_->symbols[index];
                if (symbol.handed_out) continue;  // meanwhile; it stays
                (void)stubs.push(symbol.stub);
                symbol.stub = none;
            }
            core_.generations.take_back_stubs(stubs_before_, stubs);
        }
        // Copies of before; they go on to be kept.
        for (uint32_t unit : undecided_)
            module_->units[unit].next = nullptr;
        for (uint32_t unit : reused_)
            module_->units[unit].next = nullptr;
        for (uint32_t unit : link_) {
            Instance*& next = module_->units[unit].next;
            destroy(next);
            next = nullptr;
        }
        for (Region& region : regions_) {
            if (region.base) core_.arena.release(region.base, region.pages, true);
        }
    }
    if (module_) {
        for (uint32_t unit : touched_)
            clear_next(module_->units[unit]);
        for (Unit& unit : module_->units)
            unit.mark = 0;
        if (!published_ && new_module_) {
            core_.free_module(module_);
        } else if (!published_) {
            module_->symbols.truncate(old_symbols_);
            module_->units.truncate(old_units_);
            module_->imports.truncate(old_imports_);
            module_->constant_slots.truncate(old_slots_);
            for (size_t i = old_names_; i < module_->owned_names.size(); ++i)
                Platform::deallocate(module_->owned_names[i]);
            module_->owned_names.truncate(old_names_);
        }
    }
    if (bundle_) dereference(bundle_);
}

}  // namespace sgxdl
