// The public face: one lock, one operation in flight, reclaim.
#include "enclave/loader/loader.hpp"

#include "enclave/loader/operation.hpp"

namespace sgxdl {

static_assert(LoaderPlatform<Platform>);

struct Loader::State {
    explicit State(Platform& platform) : core(platform) {}

    Core core;
    Operation* operation = nullptr;
    std::atomic<bool> locked{false};
    size_t reclaim_at = 0;  // in Core::retired

    bool try_lock() { return !locked.exchange(true, std::memory_order_acquire); }
    void unlock() { locked.store(false, std::memory_order_release); }
    void end_operation() {
        destroy(operation);
        operation = nullptr;
    }
};

namespace {

// Holds the loader's lock; a second thread, or the same one again, is told that it is busy.
template <class State>
class Lock {
 public:
    explicit Lock(State* state, bool wait = false) : state_(state) {
        while (state_ && !state_->try_lock()) {
            if (!wait) {
                state_ = nullptr;
                return;
            }
            __builtin_ia32_pause();
        }
    }
    ~Lock() {
        if (state_) state_->unlock();
    }
    Lock(const Lock&) = delete;
    explicit operator bool() const { return state_ != nullptr; }

 private:
    State* state_;
};

template <class State>
Error refused(State* state) {
    if (!state) return make_error(Code::bad_state, "the loader is not initialised");
    return make_error(Code::busy);
}

}  // namespace

Loader::~Loader() {
    if (!state_) return;
    state_->end_operation();
    destroy(state_);
}

Result<void> Loader::init(const LoaderConfig& config) {
    if (state_) return make_error(Code::bad_state, "initialised already");
    State* state = create<State>(platform_);
    if (!state) return make_error(Code::no_memory, "loader state");
    state->core.config = config;
    auto done = state->core.arena.init();
    if (done) done = state->core.generations.init(config.stub_capacity);
    if (done && (!state->core.retired.reserve(64) || !state->core.modules.reserve(8) ||
                 !state->core.floors.reserve(8))) {
        done = make_error(Code::no_memory, "loader records");
    }
    if (!done) {
        destroy(state);
        return done;
    }
    state_ = state;
    return {};
}

// --- operations ---------------------------------------------------------------------------------

template <class Begin>
static Result<void> begin(Loader::State* state, Operation::Kind kind, Begin&& start);

Result<void> Loader::begin_bundle(const sgxdl_bundle_header& header, std::span<const char> names) {
    const auto kind =
        header.kind == SGXDL_BUNDLE_PATCH ? Operation::Kind::patch : Operation::Kind::load;
    return begin(state_, kind,
                 [&](Operation& operation) { return operation.begin_bundle(header, names); });
}

Result<void> Loader::begin_extend(const char* module, std::span<const char> names) {
    return begin(state_, Operation::Kind::extend, [&](Operation& operation) {
        return operation.begin_module(module, names, false);
    });
}

Result<void> Loader::begin_rollback(const char* module) {
    return begin(state_, Operation::Kind::rollback,
                 [&](Operation& operation) { return operation.begin_module(module, {}, false); });
}

Result<void> Loader::begin_unload(const char* module, std::span<const char> names, bool force) {
    return begin(state_, Operation::Kind::unload, [&](Operation& operation) {
        return operation.begin_module(module, names, force);
    });
}

template <class Begin>
static Result<void> begin(Loader::State* state, Operation::Kind kind, Begin&& start) {
    Lock lock(state);
    if (!lock) return refused(state);
    if (state->operation) return make_error(Code::busy);
    auto* operation = create<Operation>(state->core, kind);
    if (!operation) return make_error(Code::no_memory, "operation record");
    auto started = start(*operation);
    if (!started) {
        destroy(operation);
        return started;
    }
    state->operation = operation;
    return {};
}

Result<void> Loader::feed(std::span<const uint8_t> bytes) {
    Lock lock(state_);
    if (!lock) return refused(state_);
    if (!state_->operation) return make_error(Code::bad_state, "no operation is in flight");
    auto fed = state_->operation->feed(bytes);
    if (!fed) state_->end_operation();
    return fed;
}

Result<Progress> Loader::step() {
    Lock lock(state_);
    if (!lock) return refused(state_);
    if (!state_->operation) return make_error(Code::bad_state, "no operation is in flight");
    auto stepped = state_->operation->step();
    const Progress progress = state_->operation->progress();
    if (!stepped || progress.done) state_->end_operation();
    if (!stepped) return stepped.error();
    return progress;
}

void Loader::abandon() {
    Lock lock(state_);
    if (lock) state_->end_operation();
}

// A copy that pins in [from, until) can reach is freed when there is none; a
// generation's table when no pin names it. Bounded: a number of copies, then one run of pages.
bool Loader::reclaim() {
    constexpr size_t copies_per_call = 512;
    Lock lock(state_);
    if (!lock) return state_ != nullptr;
    Core& core = state_->core;
    core.generations.scan();
    core.generations.collect();
    size_t& at = state_->reclaim_at;
    bool freed = false;
    for (size_t looked = 0; looked < copies_per_call && looked < core.retired.size(); ++looked) {
        if (at >= core.retired.size()) at = 0;
        Instance* instance = core.retired[at];
        if (core.generations.reachable(instance->from, instance->until)) {
            ++at;
            continue;
        }
        core.retired.remove_unordered(at);
        core.free_instance(instance);
        freed = true;
    }
    for (size_t i = 0; i < core.modules.size(); ++i) {
        Module* module = core.modules[i];
        if (!module->unloading || module->instances > 0) continue;
        core.modules.remove_unordered(i);
        core.free_module(module);
        freed = true;
        break;
    }
    return core.arena.sweep() || freed;
}

// --- calls --------------------------------------------------------------------------------------

Result<void> Loader::pin() {
    if (!state_) return make_error(Code::bad_state, "the loader is not initialised");
    return state_->core.generations.pin();
}

void Loader::unpin() {
    state_->core.generations.unpin();
}

void* Loader::symbol(const char* module_name, const char* name) {
    Lock lock(state_, true);
    if (!lock) return nullptr;
    Core& core = state_->core;
    Module* module = core.find_module(module_name);
    const uint32_t index = module ? module->names.find(name) : none;
    if (index == none) return nullptr;
    ModuleSymbol& symbol = module->symbols[index];
    const Unit& unit = module->units[symbol.unit];
    if (!symbol.global || unit.removed || !unit.live || symbol.piece == none) return nullptr;
    // The operation in flight ends it, and decided so because nobody had its address.
    if (unit.mark == mark_dropped) return nullptr;
    if (!symbol.function) {
        return reinterpret_cast<void*>(
            address_in(*unit.live, unit.definition->bundle->pieces[symbol.piece], symbol.offset));
    }
    const bool fresh = symbol.stub == none;
    if (fresh) symbol.stub = core.generations.allot_stub();
    if (symbol.stub == none) return nullptr;
    // A stub that the operation in flight allotted may not be usable yet.
    if (fresh || state_->operation) {
        Budget whole{INT64_MAX};
        if (auto grown = core.generations.grow(whole); !grown) {
            Vec<uint32_t> back;
            if (fresh && back.push(symbol.stub))
                core.generations.take_back_stubs(symbol.stub, back);
            if (fresh) symbol.stub = none;
            return nullptr;
        }
        core.fill_stub(*module, index);
    }
    symbol.handed_out = true;
    return reinterpret_cast<void*>(core.generations.stub_address(symbol.stub));
}

// --- queries ------------------------------------------------------------------------------------

LoaderInfo Loader::info() {
    LoaderInfo info{};
    Lock lock(state_, true);
    if (!lock) return info;
    Core& core = state_->core;
    core.generations.scan();
    info.generation = core.generations.current()->number;
    info.oldest_pinned = core.generations.oldest_pinned();
    info.generations_live = core.generations.live_count();
    info.modules = static_cast<uint32_t>(core.modules.size());
    info.stubs = core.generations.stub_count();
    info.arena_pages_code = core.arena.committed(PageUse::code);
    info.arena_pages_read_only = core.arena.committed(PageUse::read_only);
    info.arena_pages_data = core.arena.committed(PageUse::data);
    info.units_live = core.instances;
    info.w_xor_x = platform_.w_xor_x();
    return info;
}

Result<ModuleInfo> Loader::module_info(uint32_t index) {
    Lock lock(state_, true);
    if (!lock) return refused(state_);
    if (index >= state_->core.modules.size())
        return make_error(Code::no_such_module, "number %u", static_cast<uint64_t>(index));
    const Module& module = *state_->core.modules[index];
    const Bundle& newest = *module.newest();
    ModuleInfo info{};
    memcpy(info.name, module.base->header.module, sizeof info.name);
    memcpy(info.version, newest.header.version, sizeof info.version);
    info.security_version = newest.header.security_version;
    info.floor = state_->core.floor_of(module.name);
    info.patches = static_cast<uint32_t>(module.patches.size());
    info.unloading = module.unloading;
    memcpy(info.digest, newest.digest, sizeof info.digest);
    info.retained_bytes = module.base->header.payload_size;
    for (const PatchRecord& patch : module.patches)
        info.retained_bytes += patch.bundle ? patch.bundle->header.payload_size : 0;
    for (const Unit& unit : module.units) {
        if (unit.definition && unit.definition->kind == UnitKind::text && !unit.removed)
            ++info.functions_defined;
        if (unit.live && unit.live->definition->kind == UnitKind::text) ++info.functions_loaded;
    }
    return info;
}

bool Loader::is_loaded_code(uintptr_t address) {
    Lock lock(state_, true);
    return lock && state_->core.arena.is_code(address);
}

}  // namespace sgxdl
