/* Pin, publish, back-fill and reclaim: the protocol of docs/architecture.md, "Calls, pins and stubs".
 *
 * Threads pin (store the slot, full fence, re-read `current`, start over if it changed), call through
 * the table of the pinned generation, park inside a pin for as long as they like, and unpin. One
 * loader publishes generations, back-fills entries of new stubs into older live tables, scans the
 * slots after a full fence, and frees records, tables and blocks. Records are reused, lowest free one
 * first, so that a thread can meet the same record with another generation in it (ABA).
 *
 * Memory is x86-TSO (Sewell et al., CACM 2010): every process has a FIFO store buffer which a
 * separate process drains to memory at any time; a fence waits until the buffer is empty. Store
 * forwarding is left out: no process loads what it has stored (threads load `current`, tables and
 * `shared`, and store slots; the loader loads slots and stores the rest).
 *
 * Functions of every generation n, by stub:
 *   f   replaced in each generation: copy f.n lives in [n, n+1)
 *   s   replaced in each second one: copy s.n, n even, lives in [n, n+2)
 *   g   new in generation NEW, replaced in each later one; copy g.n is bound directly to f.n.
 *       Its entry is back-filled, so g.NEW and f.NEW count as alive for all pins below their death.
 *
 * Properties, as assertions (with invalid end states for "eventually"):
 *   P1  nothing freed is executed, and no table of a freed or reused record is read
 *   P2  every call within a pin runs the pinned generation's copy (g: from a generation that does not
 *       have it, the copy that introduced it); no call meets the trap
 *   P3  when the threads stand still, what is freed is exactly what no pin reaches, worked out by
 *       following tables, not birth and death: nothing is kept too long, parked threads or not
 *
 * Broken on purpose, one at a time (scripts/check-model; each must be found): NO_PIN_FENCE,
 * NO_PUBLISH_FENCE, NO_RECHECK, NO_BACKFILL, LATE_BACKFILL, RECLAIM_WITHOUT_SCAN,
 * BACKFILLED_BY_RANGE (back-filled blocks freed by [birth, death) like others),
 * BACKFILLED_NOT_BOUND (only the entered block counts as back-filled, not what it is bound to),
 * KEEP_BELOW_PIN (frees only what died before the oldest pin's generation).
 * PROBE_*: assertions that must fail, to show that the interesting states are reached.
 * WITHOUT_P3: so that a broken one must be found by a thread that steps into the hole.
 */

#ifndef THREADS
#define THREADS 2
#endif
#ifndef GENERATIONS
#define GENERATIONS 4 /* 0 to GENERATIONS-1; 0 is current at the start */
#endif
#ifndef PINS
#define PINS 2 /* pins per thread at most */
#endif
#ifndef CALLS
#define CALLS 2 /* calls per pin at most, and one more after parking */
#endif
#ifndef NEW
#define NEW 2 /* the generation that introduces g */
#endif
#define RECORDS (THREADS + 2) /* each thread holds back one at most; current; one to build */
#define NONE 255

/* Memory: addresses of words that more than one process uses. */
#define CURRENT 0 /* record number */
#define SHARED 1 /* 1 when a pointer to g's stub lies in shared data */
#define SLOT(t) (2 + (t)) /* record number + 1, or 0 */
#define ENTRY(r, k) (2 + THREADS + 3 * (r) + (k))
#define WORDS (2 + THREADS + 3 * RECORDS)
byte memory[WORDS];

/* Store buffers: one per thread, and the loader's. */
#define LOADER THREADS
chan buffer[THREADS + 1] = [3] of {byte, byte};

/* Blocks: copy of function k (0 f, 1 s, 2 g) made for generation n. 0 is the trap. */
#define TRAP 0
#define COPY(k, n) (1 + (k) * GENERATIONS + (n))
#define BLOCKS (1 + 3 * GENERATIONS)
#define KIND(b) (((b) - 1) / GENERATIONS)
#define BIRTH(b) (((b) - 1) % GENERATIONS)
#define DEATH(b) (BIRTH(b) + (KIND(b) == 1 -> 2 : 1))
#define S_OF(n) COPY(1, (n) - (n) % 2)
bool live[BLOCKS];
bool back_filled[BLOCKS];

/* The loader's own records; threads use them in assertions only. */
bool record_used[RECORDS];
byte record_generation[RECORDS];
byte newest; /* generation of `current`, known to the loader */
byte newest_record;

/* Ghosts: what the threads are doing, for the assertions. */
byte pinned[THREADS] = NONE;
byte pinned_record[THREADS] = NONE;
bool parked[THREADS];
bool finished[THREADS];
bool resume;

#define fence(p) (empty(buffer[p]))

proctype Drain(byte p) {
    byte address, value;
end:
    do
    :: atomic { buffer[p]?address, value -> memory[address] = value; address = 0; value = 0 }
    od
}

/* Which copy of function k a call in generation n must run. */
#define EXPECTED(k, n) \
    ((k) == 0 -> COPY(0, n) : ((k) == 1 -> S_OF(n) : ((n) < NEW -> COPY(2, NEW) : COPY(2, n))))

/* jmp *%gs:8*k, and the function's body. Its end is a step of its own: a block must not be freed
 * while it runs. g calls f by a direct call to the copy that it is bound to. */
inline call(k) {
    atomic {
        assert(record_used[rec] && record_generation[rec] == pinned[me]); /* P1 */
        block = memory[ENTRY(rec, k)];
        assert(block == EXPECTED(k, pinned[me])); /* P2 */
        assert(live[block]); /* P1 */
#ifdef PROBE_BACKFILLED_CALL
        assert(!(k == 2 && pinned[me] < NEW && newest > NEW));
#endif
    }
    if
    :: k == 2 -> atomic { block = COPY(0, BIRTH(block)); assert(live[block]) } /* P1 */
    :: else
    fi;
    atomic { assert(live[block]); block = 0 } /* P1 */
}

inline call_any() {
    if
    :: call(0)
    :: call(1)
    :: memory[SHARED] == 1 -> call(2)
    fi
}

proctype Thread(byte me) {
    byte rec, block, pins, calls;
#ifdef PROBE_ABA
    byte seen;
#endif
    do
    :: pins < PINS ->
        pins++;
again:
#ifdef PROBE_ABA
        atomic { rec = memory[CURRENT]; seen = record_generation[rec] }
#else
        rec = memory[CURRENT];
#endif
        buffer[me]!SLOT(me), rec + 1;
#ifndef NO_PIN_FENCE
        fence(me);
#endif
        atomic {
#ifndef NO_RECHECK
            if
            :: memory[CURRENT] != rec ->
#ifdef PROBE_RETRY
                assert(false);
#endif
                goto again
            :: else
            fi;
#endif
            pinned[me] = record_generation[rec];
            pinned_record[me] = rec;
#ifdef PROBE_ABA
            assert(seen == record_generation[rec]);
#endif
        }
        calls = 0;
        do
        :: calls < CALLS -> calls++; call_any()
        :: break
        :: !resume -> /* held in an ocall until all else has come to rest */
            parked[me] = true;
            resume;
            call_any();
            break
        od;
        atomic { pinned[me] = NONE; pinned_record[me] = NONE; parked[me] = false }
        buffer[me]!SLOT(me), 0;
        calls = 0;
        rec = 0
    :: break
    od;
    finished[me] = true
}

/* The inlines below use variables of Loader: i, r, b and low to count with; named, the records that
 * a slot named in the scan; reached, the blocks that check_exact has found. */

/* Reads the slots, one at a time, then frees what none of them reaches. Between scans the loader
 * knows its own current generation: new pins may come to it at any time. */
inline reclaim() {
    i = 0;
    do
    :: i < THREADS ->
        d_step {
#ifndef RECLAIM_WITHOUT_SCAN
            if
            :: memory[SLOT(i)] != 0 -> named[memory[SLOT(i)] - 1] = true
            :: else
            fi;
#endif
            i++
        }
    :: else -> break
    od;
    skip; /* spin: no break straight into a d_step */
    d_step {
        named[newest_record] = true;
        low = newest;
        r = 0;
        do
        :: r < RECORDS ->
            if
            :: record_used[r] && named[r] && record_generation[r] < low -> low = record_generation[r]
            :: else
            fi;
            r++
        :: else -> break
        od;
        b = 1;
        do
        :: b < BLOCKS ->
            if
            :: live[b] && DEATH(b) <= newest ->
                r = 0;
                do
                :: r < RECORDS ->
                    if
                    :: record_used[r] && named[r] && record_generation[r] < DEATH(b) &&
                       (back_filled[b] || record_generation[r] >= BIRTH(b)) -> break
                    :: else -> r++
                    fi
                :: else -> break
                od;
#ifdef KEEP_BELOW_PIN
                if :: r == RECORDS && low < DEATH(b) -> r = 0 :: else fi;
#endif
                if
                :: r == RECORDS -> live[b] = false
                :: else
                fi
            :: else
            fi;
            b++
        :: else -> break
        od;
        r = 0;
        do
        :: r < RECORDS ->
            if
            :: !named[r] -> record_used[r] = false; record_generation[r] = 0
            :: else
            fi;
            named[r] = false;
            r++
        :: else -> break
        od;
        i = 0; r = 0; b = 0; low = 0
    }
}

/* P3: follows the tables of all pinned generations and of the current one. */
inline check_exact() {
#ifndef WITHOUT_P3
    d_step {
        r = 0;
        do
        :: r < RECORDS ->
            i = 0;
            do
            :: i < THREADS -> if :: pinned_record[i] == r -> break :: else -> i++ fi
            :: else -> break
            od;
            if
            :: i < THREADS || r == newest_record ->
                reached[memory[ENTRY(r, 0)]] = true;
                reached[memory[ENTRY(r, 1)]] = true;
                if
                :: memory[ENTRY(r, 2)] != TRAP ->
                    reached[memory[ENTRY(r, 2)]] = true;
                    reached[COPY(0, BIRTH(memory[ENTRY(r, 2)]))] = true
                :: else
                fi
            :: else -> assert(!record_used[r])
            fi;
            r++
        :: else -> break
        od;
        b = 1;
        do
        :: b < BLOCKS ->
            assert(live[b] == reached[b]);
#ifdef PROBE_RETAINED
            assert(!(live[b] && back_filled[b] && DEATH(b) <= newest));
#endif
            reached[b] = false;
            b++
        :: else -> break
        od;
        i = 0; r = 0; b = 0
    }
#else
    skip
#endif
}

inline store(address, value) { buffer[LOADER]!address, value }

inline back_fill() {
    i = 0;
    do
    :: i < RECORDS ->
        if
        :: record_used[i] && i != r -> atomic { store(ENTRY(i, 2), COPY(2, NEW)); i++ }
        :: else -> i++
        fi
    :: else -> break
    od;
    i = 0
}

inline publish() {
    /* A free record: one is left when all others are held back by threads or current. */
    r = 0;
    do
    :: r < RECORDS && record_used[r] -> r++
    :: else -> break
    od;
    if
    :: r == RECORDS -> reclaim(); r = 0;
        do
        :: r < RECORDS && record_used[r] -> r++
        :: else -> break
        od
    :: else
    fi;
    assert(r < RECORDS);
    d_step {
        record_used[r] = true;
        record_generation[r] = newest + 1;
        live[COPY(0, newest + 1)] = true;
        live[S_OF(newest + 1)] = true;
        if
        :: newest + 1 >= NEW -> live[COPY(2, newest + 1)] = true
        :: else
        fi;
    }
    store(ENTRY(r, 0), COPY(0, newest + 1));
    store(ENTRY(r, 1), S_OF(newest + 1));
    if
    :: newest + 1 >= NEW -> store(ENTRY(r, 2), COPY(2, newest + 1))
    :: else -> store(ENTRY(r, 2), TRAP)
    fi;
    if
    :: newest + 1 == NEW ->
#ifndef BACKFILLED_BY_RANGE
        back_filled[COPY(2, NEW)] = true;
#ifndef BACKFILLED_NOT_BOUND
        back_filled[COPY(0, NEW)] = true;
#endif
#endif
#if !defined(NO_BACKFILL) && !defined(LATE_BACKFILL)
        back_fill()
#endif
    :: else
    fi;
    store(CURRENT, r);
    d_step { newest++; newest_record = r }
    /* From here anyone in the new generation may put g's address into shared data; the loader's
     * own store stands for all of them (TSO: whoever sees it sees the earlier stores too). */
    if
    :: newest == NEW ->
        store(SHARED, 1);
#ifdef LATE_BACKFILL
        back_fill()
#endif
    :: else
    fi;
#ifndef NO_PUBLISH_FENCE
    fence(LOADER);
#endif
    r = 0
}

#define AT_REST(t) ((finished[t] || parked[t]) && empty(buffer[t]))

inline wait_at_rest() {
    i = 0;
    do
    :: i < THREADS -> atomic { AT_REST(i) -> i++ }
    :: else -> break
    od;
    i = 0
}

inline wait_finished() {
    i = 0;
    do
    :: i < THREADS -> atomic { finished[i] && empty(buffer[i]) -> i++ }
    :: else -> break
    od;
    i = 0
}

proctype Loader() {
    byte i, r, b, low;
    bool named[RECORDS];
    bool reached[BLOCKS];
    do
    :: newest < GENERATIONS - 1 ->
        publish();
        if
        :: reclaim()
        :: skip
        fi
    :: else -> break
    od;
    /* A thread may park at any time, so this does not wait for a resumed one. */
    fence(LOADER);
    wait_at_rest();
    reclaim();
    check_exact();
    resume = true;
    wait_finished();
    reclaim();
    check_exact()
}

init {
    byte i;
    atomic {
        record_used[0] = true;
        live[COPY(0, 0)] = true;
        live[COPY(1, 0)] = true;
        memory[ENTRY(0, 0)] = COPY(0, 0);
        memory[ENTRY(0, 1)] = COPY(1, 0);
        i = 0;
        do
        :: i <= THREADS -> run Drain(i); i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < THREADS -> run Thread(i); i++
        :: else -> break
        od;
        i = 0;
        run Loader()
    }
}
