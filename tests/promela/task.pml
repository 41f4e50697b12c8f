/*
 * task.pml - the task word of runtime/state/state.h: parking, waking, cancelling, two waits.
 *
 * A task waits twice. A waker ends each wait by its handle (epoch), late or early, and twice; a
 * canceller asks once; two loops resume what is queued. The task must be resumed once for each
 * wait, by one loop at a time, and a handle of the first wait must not end the second. Memory is
 * sequentially consistent here.
 *
 * BUG=1  the task is published as parked while its stack is still in use
 * BUG=2  a waker does not compare the epoch
 * BUG=3  the commit does not look for WAKE
 * BUG=4  whoever wakes a parked task queues it without having moved it to LIVE
 * BUG=5  a wait takes the present epoch although a handle names it: a cancel ended the last one
 */
#ifndef BUG
#define BUG 0
#endif
#define WAITS 2

mtype = { LIVE, PARKED, DONE };

mtype phase = LIVE;
bool wake;         /* WAKE */
bool cancel;       /* CANCEL */
byte epoch = 1;    /* the spawn's */
byte begun;        /* the task's wait_begun */
byte handle[3];    /* of each wait, from park_begin on */

byte queued = 1;   /* run queue entries */
bool on_stack;     /* somebody executes on the task's stack */
byte pc;           /* how far the body is: 0, or the wait it is in */
bool granted[3];   /* what the waker of a wait has done before its call */
bool used_cancel;

/* whorl__state_wake(): one cas decides */
inline state_wake(wait) {
    taken = false;
    atomic {
        if
        :: (epoch == wait || BUG == 2) && phase == PARKED ->
#if BUG != 4
            phase = LIVE;
#endif
            epoch++; /* and the wait is over for who else has its handle */
            taken = true
        :: (epoch == wait || BUG == 2) && phase == LIVE -> wake = true
        :: else
        fi
    }
    if
    :: taken -> queued++
    :: else
    fi
}

proctype Waker(byte wait) {
    bool taken;
    handle[wait] > 0;
    granted[wait] = true;
    state_wake(handle[wait]);
    state_wake(handle[wait])
}

proctype Canceller() {
    bool taken;
    atomic {
        if
        :: phase != DONE -> cancel = true;
            taken = phase == PARKED;
            if
            :: taken -> phase = LIVE
            :: else
            fi
        :: else
        fi
    }
    if
    :: taken -> queued++
    :: else
    fi
}

/* The body's next stretch: what ended the wait is looked at, then the next wait begins. */
inline run_body() {
    assert(!on_stack);
    on_stack = true;
    if
    :: pc > 0 && !granted[pc] ->
        assert(cancel && !used_cancel); /* not granted: only a request may have ended the wait */
        cancel = false;
        used_cancel = true
    :: pc > 0 && granted[pc] && cancel ->
        cancel = false;
        used_cancel = true
    :: else
    fi;
    if
    :: pc < WAITS ->
        atomic { /* park_begin; where nobody has the epoch, nobody changes the word meanwhile */
            if
            :: epoch == begun && BUG != 5 -> wake = false; epoch++
            :: else
            fi;
            begun = epoch
        };
        pc++;
        handle[pc] = begun;
#if BUG == 1
        parked = false;
        atomic {
            if
            :: wake || cancel
            :: else -> phase = PARKED; parked = true
            fi
        }
        on_stack = false;
        if
        :: !parked -> queued++
        :: else
        fi
#else
        on_stack = false; /* the switch away */
        parked = false;
        atomic {
            if
            :: (wake && BUG != 3) || cancel
            :: else -> phase = PARKED; parked = true
            fi
        }
        if
        :: !parked -> queued++
        :: else
        fi
#endif
    :: else ->
        atomic {
            if
            :: cancel -> cancel = false; used_cancel = true
            :: else
            fi;
            phase = DONE
        }
        on_stack = false
    fi
}

proctype Loop() {
    bool parked;
end_idle:
    do
    :: atomic { queued > 0 -> queued--; assert(queued == 0) };
        assert(phase == LIVE);
        run_body()
    od
}

init {
    atomic {
        run Waker(1);
        run Waker(2);
        run Canceller();
        run Loop();
        run Loop()
    }
    timeout -> assert(phase == DONE && queued == 0 && pc == WAITS)
}
