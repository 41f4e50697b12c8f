/*
 * bug.h - bugs that are put in on purpose, to see that the tests would find them.
 *
 * Each stands in the code as `if (WHORL__BUG(NAME))`, which is `if (0)` in every build but those of
 * tests/differential/test_bugs.sh: they define WHORL__BUG_CHOSEN, as one of the names below or as
 * the variable whorl__bug, which makes it a choice at run time.
 *
 * The list says for each: a row of what asyncio does that does not hold with it, and what is wrong.
 */
#ifndef WHORL_BASE_BUG_H
#define WHORL_BASE_BUG_H

#define WHORL__BUGS(X)                                                                             \
    X(FUTURE_SET_TWICE, "FUT-3", "a second result is taken for good, and nothing happens")         \
    X(FUTURE_CANCEL_ENDS_AGAIN, "FUT-4", "cancel of a done future says that it was cancelled")     \
    X(FUTURE_WAKES_THE_LAST_FIRST, "FUT-11", "who waits for a future is woken in reverse order")   \
    X(FUTURE_CALLS_AT_ONCE, "FUT-7",                                                               \
      "children of a gather report inside the call that completes them")                           \
    X(AWAIT_SUSPENDS_ALWAYS, "FUT-12", "await of a done future gives way")                         \
    X(AWAIT_HAS_NO_MESSAGE, "FUT-18",                                                              \
      "the message of a cancelled future does not reach who awaits it")                            \
    X(CANCEL_IN_A_WAIT_TAKES_NO_PASS, "CANC-9",                                                    \
      "a wait that begins with a cancel pending does not give way")                                \
    X(CANCEL_KEEPS_THE_LAST_MESSAGE, "CANC-23",                                                    \
      "a later cancel changes the message of one that has ended a wait")                           \
    X(CANCEL_COUNTS_ONCE, "CANC-13", "two requests count as one")                                  \
    X(UNCANCEL_WITHDRAWS_NOTHING, "CANC-20", "the last uncancel leaves the request pending")       \
    X(UNCANCEL_WITHDRAWS_TOO_EARLY, "CANC-21",                                                     \
      "an uncancel that leaves requests withdraws the delivery")                                   \
    X(CANCEL_LEAVES_THE_AWAITED_ALONE, "CANC-5",                                                   \
      "a cancel does not go on to the task that is awaited")                                       \
    X(CANCEL_AT_THE_END_IS_LOST, "CANC-10",                                                        \
      "a task that cancels itself and returns has not been cancelled")                             \
    X(GATHER_FAILS_LATE, "GATH-2", "a failure ends a gather only when all children have ended")    \
    X(GATHER_RAISES_FROM_A_LIST, "GATH-5",                                                         \
      "a gather that wants a list fails with its first error")                                     \
    X(GATHER_CANCELS_ONE, "GATH-8", "a cancel of a gather reaches its first child only")           \
    X(GATHER_SURVIVES_ITS_CANCEL, "GATH-10",                                                       \
      "a cancelled gather whose children go on delivers their results")                            \
    X(TIMEOUT_HIDES_A_CANCEL, "TMO-8",                                                             \
      "a block that was also cancelled from outside says that its time is over")                   \
    X(TIMEOUT_KEEPS_ITS_REQUEST, "TMO-9",                                                          \
      "the request of a deadline is not taken back at the end of the block")                       \
    X(TIMEOUT_COUNTS_FROM_ZERO, "TMO-9",                                                           \
      "a request from before the block hides that its time is over")                               \
    X(TIMEOUT_TAKES_ANY_ERROR, "TMO-5",                                                            \
      "a block that fails after its deadline says that its time is over")                          \
    X(TIMEOUT_EXPIRES_AT_ONCE, "TMO-16", "an expiry that is due is not queued")                    \
    X(RESCHEDULE_KEEPS_THE_OLD_DEADLINE, "TMO-16", "a deadline cannot be switched off")            \
    X(WAIT_FOR_WITHOUT_TIME_LEAVES_IT, "WF-8",                                                     \
      "wait_for without time does not wait for the end of what it cancels")                        \
    X(GROUP_COUNTS_A_CANCELLED_CHILD, "TG-5",                                                      \
      "a child that was cancelled is a failure of its group")                                      \
    X(GROUP_LETS_THE_BLOCK_GO_ON, "TG-3", "the failure of a child does not end the block")         \
    X(GROUP_ASKS_ITS_BLOCK_FIRST, "TG-3", "the block meets its cancel before the children do")     \
    X(GROUP_LEAVES_ITS_CHILDREN, "TG-7",                                                           \
      "a block that fails waits for its children and does not cancel them")                        \
    X(GROUP_LOSES_THE_CANCEL_OUTSIDE, "TG-10",                                                     \
      "a cancel from outside is lost when a child has failed, too")                                \
    X(GROUP_TAKES_WHILE_IT_ABORTS, "TG-12", "a group that aborts takes children")                  \
    X(SLEEP_ZERO_DOES_NOTHING, "SLP-1", "sleep(0) does not give way")                              \
    X(WAIT_ENDS_WITH_A_CANCELLED_ONE, "WAIT-6", "a cancelled future counts as an exception")       \
    X(WAIT_CANCELS_THE_LATE, "WAIT-2", "what is not done in time is cancelled")                    \
    X(COMPLETED_SERVES_TWICE, "ASC-6", "a future that was given twice is served twice")            \
    X(COMPLETED_HAS_NO_DEADLINE, "ASC-4", "at its deadline an iteration goes on")                  \
    X(WAIT_REPORTS_AT_ONCE, "WAIT-10", "futures that are done are reported at once")               \
    X(SHIELD_CANCELS_THE_INNER, "SHLD-1", "a cancel of a shield goes on to what it guards")        \
    X(SHIELD_HIDES_AN_ERROR, "SHLD-3", "an error of the inner future is a cancel of the shield")   \
    X(CALLBACK_RUNS_AFTER_ITS_CANCEL, "LOOP-5", "a handle that was cancelled is called")           \
    X(CALLBACK_DUE_IS_CALLED_SOON, "TIME-5", "a timer that is due stands in line with the calls")  \
    X(CALLBACK_REMOVED_ONCE, "FUT-9", "of equal done callbacks only one is removed")               \
    X(SPAWN_SHARES_NO_CONTEXT, "CTX-2", "a task begins without the values of its creator")         \
    X(EAGER_IS_QUEUED, "EAG-1", "an eager task begins in its turn")                                \
    X(AWAIT_OF_ITSELF_IS_CANCELLED, "TASK-4", "a task that awaits itself is told of a cancel")     \
    X(LINE_SERVES_THE_LAST_FIRST, "LOCK-2", "who came last is served first")                       \
    X(LOCK_LETS_PASS, "LOCK-3", "who comes before the chosen one has run gets the lock")           \
    X(LOCK_COUNTS_THE_CANCELLED, "LOCK-3", "who is cancelled and has not run is still in line")    \
    X(LOCK_FORGETS_THE_NEXT, "LOCK-5", "who was chosen and cancelled passes nothing on")           \
    X(LOCK_RELEASES_A_FREE_ONE, "LOCK-8", "the release of a free lock is no error")                \
    X(EVENT_WAKES_ONE, "EVT-2", "a set wakes the first who waits, and no more")                    \
    X(EVENT_LOOKS_AGAIN, "EVT-3", "who was woken waits again if the event is clear by then")       \
    X(CONDITION_TAKES_NO_LOCK, "COND-6", "a cancelled wait returns without the lock")              \
    X(CONDITION_LOSES_A_CANCEL, "COND-7", "a cancel that comes while it takes the lock is lost")   \
    X(CONDITION_KEEPS_ITS_CALL, "COND-8", "who is notified and cancelled hands nothing on")        \
    X(SEMAPHORE_LETS_PASS, "SEM-3", "who comes gets a unit that others wait for")                  \
    X(SEMAPHORE_WAKES_NO_MORE, "SEM-5", "who goes through does not wake on")                       \
    X(SEMAPHORE_LOSES_A_UNIT, "SEM-7", "a unit of one who is cancelled is lost")                   \
    X(SEMAPHORE_HAS_NO_BOUND, "SEM-9", "a bounded semaphore takes any number back")                \
    X(BARRIER_LETS_IN, "BAR-4", "who comes while it drains counts")                                \
    X(BARRIER_IS_BROKEN, "BAR-6", "a cancelled waiter breaks it")                                  \
    X(BARRIER_KEEPS_THEM, "BAR-7", "a reset leaves those who wait")                                \
    X(QUEUE_LOSES_AN_ITEM, "QUE-6", "who was woken and cancelled wakes nobody")                    \
    X(QUEUE_KEEPS_ITEMS, "QUE-11", "an item that woke somebody is nobody else's")                  \
    X(QUEUE_COUNTS_GETS, "QUE-16", "an item is done when it was got")                              \
    X(QUEUE_JOINS_ANEW, "QUE-17", "who joins and was woken waits for what was put since")          \
    X(QUEUE_TAKES_ON, "QUE-18", "puts go on after a shutdown")                                     \
    X(QUEUE_DROPS_ALL, "QUE-19", "every shutdown is an immediate one")

#define WHORL__BUG_NUMBER(name, row, what) WHORL__BUG_##name,

enum whorl__bug { WHORL__BUG_NONE, WHORL__BUGS(WHORL__BUG_NUMBER) };

extern int whorl__bug; /* defined by the test */

#ifndef WHORL__BUG_CHOSEN
#    define WHORL__BUG_CHOSEN WHORL__BUG_NONE
#endif

#define WHORL__BUG(name) (WHORL__BUG_CHOSEN == WHORL__BUG_##name)

#endif
