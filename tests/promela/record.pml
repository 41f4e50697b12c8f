/*
 * record.pml - a descriptor's record of runtime/poll/record.h, watched by two edge-triggered
 * pollers, re-homed while data comes (runtime/io/wait.c), and closed under its reader.
 *
 * A peer sends MESSAGES bytes, or stalls before the last if CLOSE is set; a task reads them and
 * waits when there is none. The run ends only if the task has read all, or has been told that the
 * descriptor is closed: an edge that is lost is a deadlock. Memory is sequentially consistent here.
 *
 * BUG=1  "nothing left" is stored without looking whether an event came since
 * BUG=2  a task that has installed itself does not look at CLOSING again
 * BUG=3  the new poller does not report the level, and the old one has let go before
 * BUG=4  the last user is not waited for: the number is free while the task is still inside
 */
#ifndef MESSAGES
#define MESSAGES 3
#endif
#ifndef CLOSE
#define CLOSE 1
#endif
#ifndef BUG
#define BUG 0
#endif

/* the kernel */
byte level;       /* bytes to be read */
byte sent;
bool watched[2];  /* which pollers have the descriptor */
bool edge[2];     /* what epoll_wait will report there */
bool number_free; /* close(2) is done */

/* the record */
bool waiting;     /* the slot: WAITING, or ... */
bool ready;
byte tick;
bool closing;
byte users;
byte home;

/* the task */
bool woken;
byte received;
bool refused;

proctype Peer() {
    do
    :: sent < MESSAGES ->
        atomic {
            sent++;
            level++;
            edge[0] = edge[0] || watched[0];
            edge[1] = edge[1] || watched[1]
        }
    :: CLOSE -> break /* it stalls: only the close can end the wait */
    :: sent == MESSAGES -> break
    od
}

/* whorl__record_event(): one cas; the wake follows it */
proctype Poller(byte me) {
    bool wake;
end_poll:
    do
    :: atomic { edge[me] -> edge[me] = false };
        atomic {
            wake = waiting;
            waiting = false;
            ready = true;
            tick = (tick + 1) % 8
        }
        if
        :: wake -> woken = true
        :: else
        fi;
        wake = false
    od
}

/* whorl__record_leave(): one add, whose old value tells who is the last; he closes */
inline leave() {
#if BUG == 4
    users--;
    if
    :: closing -> number_free = true
    :: else
    fi
#else
    atomic {
        users--;
        if
        :: closing && users == 0 -> number_free = true
        :: else
        fi
    }
#endif
}

/* whorl__call_close() by another task, which is a user of its own */
proctype Closer() {
    bool wake;
    if
    :: CLOSE ->
        users++;
        closing = true;
        atomic { /* evict() */
            wake = waiting;
            waiting = false;
            ready = true
        }
        if
        :: wake -> woken = true
        :: else
        fi;
        leave()
    :: !CLOSE
    fi
}

/* move(): ADD to the new poller, then DEL from the old */
inline move() {
#if BUG == 3
    watched[home] = false;
    atomic { edge[home] = false; watched[1 - home] = true };
#else
    atomic { watched[1 - home] = true; edge[1 - home] = edge[1 - home] || level > 0 };
    atomic { watched[home] = false; edge[home] = false };
#endif
    home = 1 - home;
    moved = true
}

proctype Reader() {
    bool seen_ready, moved, again;
    byte seen_tick;

    do
    :: received == MESSAGES || refused -> break
    :: else ->
        /* whorl__record_enter() */
        atomic {
            if
            :: closing -> refused = true
            :: else -> users++
            fi
        }
        if
        :: refused -> break
        :: else
        fi;
        again = true;
        do
        :: again ->
            d_step { seen_ready = ready; seen_tick = tick };
            assert(!number_free);
            atomic { /* read(2) */
                if
                :: level > 0 -> level--; received++; again = false
                :: else
                fi
            }
            if
            :: !again -> break
            :: else
            fi;
            /* EAGAIN: whorl__record_clear() */
#if BUG == 1
            ready = false;
#else
            atomic {
                if
                :: seen_ready && ready && tick == seen_tick && !waiting -> ready = false
                :: else
                fi
            }
#endif
            if
            :: !moved -> move()
            :: true
            fi;
            /* whorl__record_wait() */
            atomic {
                again = ready;
                waiting = !ready;
                woken = false
            }
            if
            :: again && closing -> refused = true; break
            :: again && !closing
            :: else ->
#if BUG != 2
                if
                :: closing -> refused = true; waiting = false; break
                :: else
                fi;
#endif
                woken; /* parked */
                waiting = false; /* whorl__record_wait_end() */
                again = true;
                if
                :: closing -> refused = true; break
                :: else
                fi
            fi
        :: else -> break
        od;
        leave()
    od;
    assert(received + level == sent || sent < MESSAGES)
}

init {
    atomic {
        watched[0] = true;
        run Peer();
        run Poller(0);
        run Poller(1);
        run Reader();
        run Closer()
    }
}
