/*
 * program_language.h - the small language in which a program is played by asyncio and by whorl.
 *
 * A program is text, one instruction a line; spaces in front of it are for the reader. It declares
 * futures, tasks and callbacks, and starts the task `main`. Times are milliseconds of a clock that
 * passes only while everybody waits; values are small numbers; errors are names of errno.
 *
 *      program 7                       a number to call it by
 *      future f
 *      task main
 *          spawn a
 *          timeout t 5
 *              await a
 *          end
 *      task a
 *          try
 *              await f
 *          end
 *          return 3
 *
 * X is anything that can be awaited: a task that was spawned, a future, a gather, a shield. A step
 * that names what is not there (not spawned, a block that is not open) says "absent" and goes on,
 * so that a program stays one whatever is taken out of it. Callbacks have steps that do not wait.
 *
 * Steps that may wait:
 *      yield, sleep MS                 sleep(0), sleep
 *      await X                         its value; its error is raised
 *      wait_for X MS
 *      wait WHEN MS X..                all, first, exception; MS or never: says which are done
 *      each MS X..                     as_completed: says one after the other
 * Steps that do not:
 *      spawn T                         once a task; later ones say "again"
 *      eager T                         the same, begun at once
 *      add P T, cancel_group P         to a group that is open
 *      gather G X.., gather_all G X..  a future of that name; _all: errors stand among the values
 *      cancel X [MESSAGE], uncancel T, cancelling T
 *      set F N, fail F ERROR           complete a future; "already" if it was
 *      shield S X                      a future of that name
 *      state X                         pending, or how it ended
 *      put V N, get V                  a local of the context; at first 0
 *      soon C, later C MS, drop C      call a callback, once; take it back
 *      done X C, undone X C            call it when X is done
 *      expired B, reschedule B MS      of a timeout that is open; MS or never
 *      raise ERROR, return N
 *
 * Locks and their like are declared with a number, and none is made by a step:
 *      lock L 0, semaphore M N, bounded M N, event E 0, condition C 0, barrier B N
 *      queue Q MAX, lifo Q MAX, priority Q MAX
 * Their steps that may wait:
 *      acquire L, acquire M
 *      wait_on C                       in a `with C` of the same task, else "absent"
 *      wait_set E
 *      meet B                          says its index
 *      reset B, abort B
 *      qput Q N, qget Q, qjoin Q
 * And that do not, and say their error in the place of raising it:
 *      release L or M, try_acquire L or M, locked L or M
 *      notify C N, notify_all C, set_event E, clear E, is_set E, waiting B
 *      qput_now Q N, qget_now Q, qdone Q, qshut Q, qshut_now Q, qsize Q
 *
 * Blocks, closed by `end`:
 *      timeout B MS, timeout_at B MS   MS or never
 *      group P                         says all errors, raises the first
 *      try                             catches whatever is raised, and says what
 *      try_error                       the same, but lets a cancel through
 *      ensure .. cleanup ..            the second part runs however the first one ended
 *      with L or M or C                acquires and releases it
 *
 * The trace has a line a step: the time, who, the step, and what came of it ("= value",
 * "! error", a word). tests/differential/asyncio_side.py plays the same on Python.
 */
#ifndef WHORL_TESTS_DIFFERENTIAL_LANGUAGE_H
#define WHORL_TESTS_DIFFERENTIAL_LANGUAGE_H

#include "whorl.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { NAME_MAX_BYTES = 16, WORDS_MAX = 12, OBJECTS_MAX = 128, STEPS_MAX = 1024 };

/* What a body or a block comes to, beside 0 and -errno: a `return` was met. */
enum { RETURNED = 1 };

struct step;
struct actor;
struct tool;

typedef int perform(struct actor *actor, const struct step *step);

/* Whatever has a name. */
struct object {
    char name[NAME_MAX_BYTES];
    const struct step *body;      /* of a task or callback */
    bool is_task;
    bool is_future;
    bool is_callback;
    bool spawned;
    struct whorl_task *task;      /* from when whorl_spawn has returned */
    struct whorl_future *future;  /* a future, gather or shield once made; of a task: its own */
    bool is_list;                 /* its value is an array of results, of these: */
    size_t listed;
    const struct object *members[WORDS_MAX];
    struct whorl_timeout *timeout; /* while the block is open */
    struct whorl_group *group;     /* as timeout, and until its end has returned */
    struct whorl_local local;      /* a key, whose address is what counts */
    struct whorl_handle *handle;   /* of a callback that was to be called soon or later */
    bool is_tool;                  /* a lock or the like */
    int tool_kind;
    int64_t tool_size;
    struct tool *tool;             /* while the program is played */
    unsigned begun;                /* a task's body, a callback by its handle */
    unsigned ended;
    unsigned freed;
};

struct word {
    const char *text;
    struct object *object; /* NULL: not a name */
    int64_t number;        /* WHORL_NEVER: never */
};

struct step {
    perform *perform;
    const char *text; /* the line, for the trace */
    unsigned count;   /* of the words behind the first */
    struct word words[WORDS_MAX];
    const struct step *next;
    const struct step *body;    /* of a block */
    const struct step *cleanup; /* of an ensure */
};

struct program {
    long number;
    unsigned object_count;
    struct object objects[OBJECTS_MAX];
    unsigned declared_count;
    struct object *declared[OBJECTS_MAX]; /* in the order of the text */
    unsigned step_count;
    struct step steps[STEPS_MAX];
};

/* Reads a program from a text that it cuts into words; false: the line that is wrong is printed. */
bool program_read(char *text, struct program *ret_program);

/* As it was after it was read: to be played once more. */
void program_rewind(struct program *program);

/* How a step of that name is performed; NULL: there is none. is_block: it ends with `end`. */
perform *program_find_step(const char *name, bool *ret_is_block);

/* The same of locks and their like; *ret_kinds: a bit for each kind that it may be of. */
perform *tool_find_step(const char *name, bool *ret_is_block, unsigned *ret_kinds);

/* The kind of that name; -1: there is none. */
int tool_find_kind(const char *name);

/* Makes what was declared; and after all tasks have ended gives it back. */
int tool_make(struct object *object);
void tool_free(struct object *object);

/* How a program is played. */
enum play_how {
    PLAY_STRICT, /* one loop, a clock of its own, every step traced to standard output */
    PLAY_LOOPS   /* for its invariants; the clock is the system's or a simulation's */
};

/* In the task that is the root of a runtime. ms_ns: how long a millisecond of the program takes.
 * Returns 0, or -EPROTO after printing what was not as it must be. */
int program_play(struct program *program, enum play_how how, int64_t ms_ns);

/* Where traces go; at first to standard output. */
void program_trace_to(FILE *out);

/* After the runtime has ended: every task began at most once and ended, its argument was freed. */
int program_check(const struct program *program);

/* From here on time is played: it passes when all wait, and then at once. */
void program_clock_install(void);

#endif
