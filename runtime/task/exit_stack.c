/*
 * exit_stack.c - what is undone when a block ends.
 *
 * Owns:       the contents of struct whorl_exit_stack, one struct entry for each thing to undo.
 * Threads:    one at a time; no runtime is needed.
 * Invariant:  an entry is off the stack before its exit is called: what the exit pushes comes next,
 *             and nothing is called twice.
 * Not chosen: room for some entries in the struct itself: a stack that is moved could then be full
 *             where it came from, and a move would have to be able to fail.
 */
#include "task/errors.h"

#include "base/assert.h"
#include "sys/os.h"
#include "whorl/exit_stack.h"

#include <errno.h>

struct entry {
    struct entry *below;
    whorl_exit *exit;           /* NULL: function */
    void (*function)(void *arg);
    void *arg;
};

struct stack {
    struct entry *top; /* called first */
};

WHORL_STATIC(sizeof(struct stack) <= sizeof(struct whorl_exit_stack),
             "whorl_exit_stack is large enough");

static struct stack *stack_of(struct whorl_exit_stack *stack)
{
    return (struct stack *)(void *)stack->opaque;
}

static int push(struct whorl_exit_stack *opaque, const struct entry *what)
{
    if (opaque == NULL || (what->exit == NULL && what->function == NULL)) {
        return -EINVAL;
    }
    struct stack *const stack = stack_of(opaque);
    struct entry *const entry = whorl__os->alloc(sizeof *entry);
    if (entry == NULL) {
        return -ENOMEM;
    }
    *entry = *what;
    entry->below = stack->top;
    stack->top = entry;
    return 0;
}

static struct entry *pop(struct stack *stack)
{
    struct entry *const entry = stack->top;
    if (entry != NULL) {
        stack->top = entry->below;
    }
    return entry;
}

int whorl_exit_stack_push(struct whorl_exit_stack *stack, whorl_exit *exit, void *arg)
{
    return push(stack, &(struct entry){.exit = exit, .arg = arg});
}

int whorl_exit_stack_defer(struct whorl_exit_stack *stack, void (*function)(void *arg), void *arg)
{
    return push(stack, &(struct entry){.function = function, .arg = arg});
}

/* The block comes first: what was entered must not be left over for want of memory. It is not on
 * the stack meanwhile, for enter may push what it needs itself. */
int whorl_exit_stack_enter(struct whorl_exit_stack *opaque, whorl_body *enter, whorl_exit *exit,
                           void *arg)
{
    if (opaque == NULL || enter == NULL || exit == NULL) {
        return -EINVAL;
    }
    struct stack *const stack = stack_of(opaque);
    struct entry *const entry = whorl__os->alloc(sizeof *entry);
    if (entry == NULL) {
        return -ENOMEM;
    }
    const int error = enter(arg);
    if (error != 0) {
        whorl__os->free(entry);
        return error;
    }
    *entry = (struct entry){.below = stack->top, .exit = exit, .arg = arg};
    stack->top = entry;
    return 0;
}

static int close_generator(void *generator, int error)
{
    const int closed = whorl_generator_close(generator);
    return closed != 0 ? closed : error;
}

int whorl_exit_stack_closing(struct whorl_exit_stack *stack, struct whorl_generator *generator)
{
    return generator == NULL ? -EINVAL : whorl_exit_stack_push(stack, close_generator, generator);
}

void whorl_exit_stack_move(struct whorl_exit_stack *to, struct whorl_exit_stack *from)
{
    if (to == NULL || from == NULL) {
        return;
    }
    WHORL_CHECK(stack_of(to)->top == NULL, "whorl_exit_stack_move to a stack that is not empty");
    stack_of(to)->top = stack_of(from)->top;
    stack_of(from)->top = NULL;
}

/* The list follows the error: longer with each that takes its place, gone when it is swallowed. */
static void note(struct whorl_errors **errors, int error)
{
    if (error != 0) {
        whorl__errors_append(errors, error);
    } else {
        whorl_errors_free(*errors);
        *errors = NULL;
    }
}

static int call(const struct entry *entry, int error)
{
    if (entry->exit != NULL) {
        return entry->exit(entry->arg, error);
    }
    entry->function(entry->arg);
    return error;
}

int whorl_exit_stack_close(struct whorl_exit_stack *stack, int error,
                           struct whorl_errors **ret_errors)
{
    struct whorl_errors *errors = NULL;
    struct entry *entry;
    if (stack == NULL) {
        return -EINVAL;
    }
    if (ret_errors != NULL) {
        note(&errors, error);
    }
    while ((entry = pop(stack_of(stack))) != NULL) {
        const int before = error;
        error = call(entry, before);
        whorl__os->free(entry);
        if (ret_errors != NULL && error != before) {
            note(&errors, error);
        }
    }
    if (ret_errors != NULL) {
        *ret_errors = errors;
    }
    return error;
}

void whorl_exit_stack_leave(struct whorl_exit_stack *stack)
{
    if (stack != NULL) {
        (void)whorl_exit_stack_close(stack, 0, NULL);
    }
}

void whorl_generator_leave(struct whorl_generator **generator)
{
    if (generator != NULL && *generator != NULL) {
        (void)whorl_generator_close(*generator);
        whorl_generator_unref(*generator);
        *generator = NULL;
    }
}
