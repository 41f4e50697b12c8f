/*
 * Notes of why tasks were asked to end: task/why.h. One note is several tasks', and goes with the
 * last of them: who frees it comes after all that have read it.
 *
 * Shown to fail: by --mutate of task/why.c:note_unref#1, each way.
 */
#include "model/model.h"

#include "sys/os.h"
#include "sys/tls.h"
#include "task/why.h"

struct state {
    struct whorl__loop loop;
    struct whorl_task task;
    struct whorl__note *note; /* C: each thread has a reference */
};

/* As for a task that has a note from now on. */
static struct whorl__note *take_note(struct state *state)
{
    const struct whorl_why why = {.cause = WHORL_WHY_CALLBACK};
    struct whorl__why_room room = whorl__why_room(&state->task, &why);
    struct whorl__note *const note = room.note;
    room.note = NULL;
    whorl__why_room_free(&room);
    return note;
}

static void setup(void *pointer)
{
    struct state *const state = pointer;
    whorl__tls_set_worker((struct whorl__worker *)&state->loop);
    state->note = take_note(state);
    MODEL_CHECK(state->note != NULL && take_note(state) == state->note);
    whorl__why_loop_fini(&state->loop);
    whorl__tls_set_worker(NULL);
}

static void read_and_release(void *pointer, unsigned thread)
{
    struct state *const state = pointer;
    (void)thread;
    whorl__plain_read(&state->note->why);
    MODEL_CHECK(state->note->why.cause == WHORL_WHY_CALLBACK);
    whorl__note_release(state->note, NULL);
}

static void finish(void *pointer)
{
    (void)pointer; /* that it was freed, and once, the checker looks after */
}

static const struct model models[] = {
    {
        .name = "why/last",
        .about = "two tasks with one note are freed",
        .threads = 2,
        .state_bytes = sizeof(struct state),
        .setup = setup,
        .body = read_and_release,
        .finish = finish,
        .preemptions = 4,
        .schedules = 3000,
    },
};

int main(int argc, char **argv)
{
    return model_main(argc, argv, models, sizeof(models) / sizeof(models[0]));
}
