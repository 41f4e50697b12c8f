/*
 * idle.pml - search, sleep and wake of runtime/sched/idle.c and worker.c, every interleaving.
 *
 * LOOPS loops and LOOPS tasks, none of which ends before all have begun: the run ends only if each
 * loop gets one. So a wake-up that is lost, or that is not passed on, is a deadlock.
 *
 * Loop 0 begins with one task; FOREIGN tasks come from another thread by the shared queue, EVENTS
 * from the poller of a loop that sleeps, and the first task to begin spawns the others. Memory is sequentially consistent here; what a processor may delay
 * is the business of tests/model.
 *
 * BUG=1  the last searcher sleeps without looking at the queues again
 * BUG=2  a publisher asks who sleeps before it publishes
 * BUG=3  a searcher that found work does not wake the next
 * BUG=4  one that finds work of its own while it searches runs it, still counted as a searcher
 */
#ifndef LOOPS
#define LOOPS 3
#endif
#ifndef FOREIGN
#define FOREIGN 1
#endif
#ifndef BUG
#define BUG 0
#endif
#ifndef EVENTS
#define EVENTS 0
#endif
#define SPAWNED (LOOPS - 1 - FOREIGN - EVENTS)

byte ring[LOOPS];   /* lockfree/runqueue.c: a take or a steal is one cas */
byte shared;
byte searching;     /* idle.word */
byte sleeping;
bool listed[LOOPS]; /* idle.sleepers */
bool kicked[LOOPS]; /* the eventfd */
byte begun;
byte spawner = LOOPS; /* the loop of the first task to begin */
byte left = SPAWNED;
byte events = EVENTS;  /* tasks whose socket will be ready: whoever polls gets them */

inline something_there(answer) {
    answer = shared > 0;
    at = 0;
    do
    :: !answer && at < LOOPS -> answer = ring[at] > 0; at++
    :: else -> break
    od
}

/* claim_sleeper: one critical section under idle.lock, whose cas decides */
inline claim_and_wake() {
    chosen = LOOPS;
    atomic {
        if
        :: searching == 0 && sleeping > 0 ->
            searching++;
            sleeping--;
            if
            :: listed[0] -> chosen = 0
            :: listed[1] -> chosen = 1
#if LOOPS > 2
            :: listed[2] -> chosen = 2
#endif
            fi;
            listed[chosen] = false
        :: else
        fi
    }
    if
    :: chosen < LOOPS -> kicked[chosen] = true
    :: else
    fi
}

inline notify() {
    quiet = searching > 0 || sleeping == 0;
    if
    :: quiet
    :: else -> claim_and_wake()
    fi
}

/* Old values of local variables would only multiply the states. */
inline forget() {
    d_step {
        found = false; there = false; was_last = false; nobody = false; quiet = false;
        at = 0; chosen = 0; half = 0
    }
}

inline publish(queue) {
#if BUG == 2
    quiet = searching > 0 || sleeping == 0;
    queue++;
    if
    :: quiet
    :: else -> claim_and_wake()
    fi
#else
    queue++;
    notify()
#endif
}

/* A task: it spawns what is left to spawn, then holds its loop until all have begun. */
inline work() {
    atomic {
        if
        :: begun == 0 -> spawner = me
        :: else
        fi;
        begun++
    }
    do
    :: spawner == me && left > 0 -> left--; publish(ring[me]); forget()
    :: else -> break
    od;
    forget();
    begun == LOOPS
}

proctype Loop(byte me) {
    bool search = false, found, there, quiet, was_last, nobody;
    byte at, chosen, half;

turn:
    forget();
    if
#if BUG != 4
    :: search && ring[me] > 0 -> /* stop_searching() */
        search = false;
        d_step { was_last = searching == 1; searching-- };
        something_there(there);
        if
        :: was_last && there -> notify()
        :: else
        fi
#endif
    :: else
    fi;
    if
    :: !search || BUG == 4 ->
        do
        :: atomic { ring[me] > 0 -> ring[me]--; forget() }; work()
        :: ring[me] == 0 -> break
        od
    :: else
    fi;

    /* search() */
    found = false;
    if
    :: !search ->
        atomic {
            if
            :: 2 * searching < LOOPS -> searching++; search = true
            :: else
            fi
        }
    :: else
    fi;
    at = 0;
    do
    :: search && !found && at < LOOPS ->
        atomic {
            if
            :: at != me && ring[at] > 0 ->
                half = (ring[at] + 1) / 2;
                ring[at] = ring[at] - half;
                ring[me] = ring[me] + half - 1;
                found = true
            :: else
            fi;
            at++
        }
    :: else -> break
    od;
    if
    :: !found -> atomic {
        if
        :: shared > 0 -> shared--; found = true
        :: else
        fi }
    :: else
    fi;

    if
    :: found -> /* run_found() */
        if
        :: search ->
            search = false;
#if BUG == 3
            searching--
#else
            d_step { was_last = searching == 1; assert(searching > 0); searching-- };
            if
            :: was_last -> notify()
            :: else
            fi
#endif
        :: else
        fi;
        work();
        goto turn
    :: else
    fi;

    /* whorl__idle_sleep_begin(): announce, fence, look again */
    atomic {
        listed[me] = true;
        sleeping++;
        searching = searching - search;
        search = false
    }
    nobody = searching == 0;
    there = false;
    if
#if BUG == 1
    :: true
#else
    :: nobody -> something_there(there)
    :: else
#endif
    fi;
    if
    :: !there ->
        forget();
end_asleep:
        if /* epoll_wait */
        :: kicked[me] -> kicked[me] = false
        :: atomic { events > 0 -> events--; ring[me]++ }
        fi
    :: else
    fi;
    atomic { /* whorl__idle_sleep_end() */
        if
        :: listed[me] -> listed[me] = false; sleeping--
        :: else -> search = true
        fi
    }
    goto turn
}

proctype Foreign() {
    bool quiet;
    byte chosen, n;
    do
    :: n < FOREIGN -> n++; publish(shared)
    :: else -> break
    od
}

init {
    atomic {
        ring[0] = 1;
        byte i = 0;
        do
        :: i < LOOPS -> run Loop(i); i++
        :: else -> break
        od;
        run Foreign()
    }
}
