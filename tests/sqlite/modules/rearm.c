/*
 * A module whose functions hand out their own addresses: by code, by data, and by the function
 * itself. Built twice, with REARM_VERSION 1 and 2; the patch between them changes what they return.
 *
 * local_tick takes its own address inside its own section, which the assembler resolves without a
 * relocation: the case that only `pack` can make canonical.
 */
typedef int (*tick_function)(void);

/* The enclave's: keeps the callback that is to be called next time. */
void rearm_register(tick_function next);

int rearm_tick(void);
static int local_tick(void);

tick_function rearm_tick_in_data = rearm_tick;
tick_function rearm_local_in_data = local_tick;

__attribute__((noinline)) tick_function rearm_tick_in_code(void) {
    return rearm_tick;
}

__attribute__((noinline)) tick_function rearm_local_in_code(void) {
    return local_tick;
}

/* A global function that arms itself again. */
__attribute__((noinline)) int rearm_tick(void) {
    rearm_register(rearm_tick);
    return REARM_VERSION;
}

/* The same with a function that has no global name. */
__attribute__((noinline)) static int local_tick(void) {
    rearm_register(local_tick);
    return REARM_VERSION;
}
