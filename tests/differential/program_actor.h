/*
 * program_actor.h - who plays: the state of a task or callback of the program, and its trace.
 */
#ifndef WHORL_TESTS_DIFFERENTIAL_ACTOR_H
#define WHORL_TESTS_DIFFERENTIAL_ACTOR_H

#include "differential/program_language.h"

struct actor {
    struct object *object; /* the task or callback */
    const char *message;   /* of the cancel that it saw last */
    int64_t value;         /* of its return */
    unsigned blocks;       /* timeouts and groups that it is in */
    const struct object *with; /* the innermost of those whose `with` it is in */
};

/* Performs them one after the other, until one raises or returns: 0, RETURNED or -errno. */
int actor_perform(struct actor *actor, const struct step *steps);

/* What came of a step, as a line; in loops mode nothing is written. */
void actor_say(const struct actor *actor, const char *what, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same of something that was awaited; returns error. An error's message is noted. */
int actor_tell(struct actor *actor, const struct step *step, int error, const struct object *of,
               void *value);

/* Says how a block ended that takes a result and gives an error; what it comes to then. */
int actor_leave_block(struct actor *actor, const struct step *step, int result, int error);

/* "! ENOENT", "! cancelled why". */
void actor_error_text(const struct actor *actor, int error, char *ret_text, size_t text_max);

/* As actor_error_text, or "= value". */
void actor_outcome_text(int error, const char *message, const struct object *of, void *value,
                        char *ret_text, size_t text_max);

/* What must not be: printed, and the program has failed. */
void actor_violation(const struct actor *actor, const char *what);

/* Whether requests may be taken back: in loops mode they may not, so that a cancel without any
 * request is known to be late. */
bool actor_may_uncancel(void);

/* The future that a name stands for now, with a reference; NULL: there is none. */
struct whorl_future *object_take(struct object *object);

/* Gives a future that was made its name, and what is known of its value. False: it is taken. */
bool object_name(struct object *object, struct whorl_future *future, const struct object *like);

/* Spawns a task of the program, in a group unless that is NULL; flags as in whorl_attr, without a
 * group. As whorl_group_spawn, or -EALREADY (it was before, or is no task), -ENOENT (the group is
 * not open). */
int object_spawn(struct object *object, struct object *group, uint64_t flags);

/* Under the lock of the world, for what several loops touch. */
void world_lock(void);
void world_unlock(void);

/* With the lock: everything has been given back; what is made now would be left over. */
bool world_is_over(void);

/* Around what a callback does; no lock. False: the world is over, there is nothing to act on. */
bool world_enter(void);
void world_leave(void);

/* As a deadline: `ms` from the program's start, or from now. Or how long it is. */
int64_t world_deadline(int64_t ms);
int64_t world_after(int64_t ms);
int64_t world_duration(int64_t ms);

/* What several words stand for: futures with references. */
struct taken {
    size_t count;
    struct whorl_future *futures[WORDS_MAX];
    const struct object *objects[WORDS_MAX];
};

/* Steps of other files than the table of steps. */
int step_gather(struct actor *actor, const struct step *step);
int step_gather_all(struct actor *actor, const struct step *step);
int step_shield(struct actor *actor, const struct step *step);
int step_wait(struct actor *actor, const struct step *step);
int step_each(struct actor *actor, const struct step *step);
int step_soon(struct actor *actor, const struct step *step);
int step_later(struct actor *actor, const struct step *step);
int step_drop(struct actor *actor, const struct step *step);
int step_done(struct actor *actor, const struct step *step);
int step_undone(struct actor *actor, const struct step *step);

#endif
