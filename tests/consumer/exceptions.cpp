/*
 * exceptions.cpp - C++ exceptions belong to the task that handles them, whatever thread it is on.
 *
 *   exceptions          all the cases below, on one loop and on three; prints what was done
 *   exceptions escape   an exception leaves the body of a task: the process ends, and says why
 *   exceptions exit     the same for pthread_exit
 */
#include <whorl.h>

#include <pthread.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>

namespace {

int wrong;      // how many checks have failed
int crossings;  // waits that ended on another thread

void check_at(bool right, const char *what, int line)
{
    if (!right) {
        std::fprintf(stderr, "exceptions.cpp:%d: not so: %s\n", line, what);
        wrong++;
    }
}
#define CHECK(expression) check_at((expression), #expression, __LINE__)

struct Trouble : std::runtime_error {
    using std::runtime_error::runtime_error;
};

std::string what_is_handled()
{
    const std::exception_ptr handled = std::current_exception();
    if (!handled) {
        return "nothing";
    }
    try {
        std::rethrow_exception(handled);
    } catch (const Trouble &trouble) {
        return trouble.what();
    } catch (...) {
        return "something else";
    }
}

void await_and_drop(whorl_task *task)
{
    CHECK(whorl_await(task, nullptr) == 0);
    whorl_task_unref(task);
}

whorl_task *start(whorl_body *body, void *arg, int pin = 0)
{
    whorl_attr attr = {};
    whorl_task *task = nullptr;
    attr.pin = pin;
    CHECK(whorl_spawn(body, arg, &attr, &task) == 0);
    return task;
}

/* ---- a wait that ends on another thread ---- */

struct Holder {
    std::atomic<bool> gone{false};
    bool clean = false;
};

/* Holds its loop, with exceptions of its own, until the task that was there has gone on elsewhere. */
int hold_loop(void *arg)
{
    Holder &holder = *static_cast<Holder *>(arg);
    holder.clean = what_is_handled() == "nothing" && std::uncaught_exceptions() == 0;
    try {
        throw Trouble("the holder's");
    } catch (const Trouble &) {
        const int64_t deadline_ns = whorl_after(20 * WHORL_SECOND);
        while (!holder.gone && whorl_now() < deadline_ns) {
        }
        holder.clean &= what_is_handled() == "the holder's";
    }
    holder.clean &= what_is_handled() == "nothing";
    return 0;
}

/* With one loop it only gives way. */
void go_elsewhere()
{
    const int here = whorl_loop_current();
    Holder holder;
    whorl_task *const task = start(hold_loop, &holder, whorl_loop_count() > 1 ? WHORL_PIN(here) : 0);
    if (whorl_loop_count() == 1) {
        holder.gone = true;
    }
    for (int i = 0; i < 1000 && whorl_loop_current() == here; i++) {
        CHECK(whorl_yield() == 0);
        if (whorl_loop_count() == 1) {
            break;
        }
    }
    crossings += whorl_loop_current() != here;
    holder.gone = true;
    await_and_drop(task);
    CHECK(holder.clean);
}

/* ---- the cases ---- */

int wait_in_catch_block(void *)
{
    try {
        throw Trouble("outer");
    } catch (const Trouble &) {
        go_elsewhere();
        CHECK(what_is_handled() == "outer");
        try {
            throw Trouble("inner");
        } catch (const Trouble &) {
            go_elsewhere();
            CHECK(what_is_handled() == "inner");
        }
        CHECK(what_is_handled() == "outer");
        go_elsewhere();
        CHECK(what_is_handled() == "outer");
    }
    CHECK(what_is_handled() == "nothing");
    return 0;
}

int rethrow_after_wait(void *)
{
    bool caught = false;
    try {
        try {
            throw Trouble("again");
        } catch (const Trouble &) {
            go_elsewhere();
            throw;
        }
    } catch (const Trouble &trouble) {
        caught = std::strcmp(trouble.what(), "again") == 0;
    }
    CHECK(caught);
    CHECK(what_is_handled() == "nothing");
    return 0;
}

struct WaitsWhenDestroyed {
    ~WaitsWhenDestroyed()
    {
        CHECK(std::uncaught_exceptions() == 1);
        go_elsewhere();
        CHECK(std::uncaught_exceptions() == 1);
    }
};

int wait_while_unwinding(void *)
{
    bool caught = false;
    try {
        const WaitsWhenDestroyed waits;
        throw Trouble("thrown over it");
    } catch (const Trouble &) {
        caught = true;
        CHECK(std::uncaught_exceptions() == 0);
    }
    CHECK(caught);
    return 0;
}

int throw_across_waits(void *)
{
    for (int i = 0; i < 3; i++) {
        int caught = 0;
        try {
            go_elsewhere();
            throw Trouble("late");
        } catch (const Trouble &) {
            caught = 1;
        }
        go_elsewhere();
        CHECK(caught == 1);
    }
    return 0;
}

/* Two tasks leave their catch blocks in the order in which they entered: a list that belonged to
 * the thread would be popped in the wrong one. */
int enter_yield_leave(void *arg)
{
    const char *const name = static_cast<const char *>(arg);
    try {
        throw Trouble(name);
    } catch (const Trouble &) {
        for (int i = 0; i < 5; i++) {
            CHECK(whorl_yield() == 0);
            CHECK(what_is_handled() == name);
        }
    }
    CHECK(what_is_handled() == "nothing");
    return 0;
}

char first_name[] = "first";
char second_name[] = "second";

int interleave(void *)
{
    whorl_task *const first = start(enter_yield_leave, first_name);
    whorl_task *const second = start(enter_yield_leave, second_name);
    await_and_drop(first);
    await_and_drop(second);
    return 0;
}

/* An exception as a value: it is thrown in one task and rethrown in another. */
int hand_over(void *arg)
{
    try {
        throw Trouble("handed over");
    } catch (const Trouble &) {
        *static_cast<std::exception_ptr *>(arg) = std::current_exception();
    }
    return 0;
}

int take_over(void *)
{
    std::exception_ptr error;
    bool caught = false;
    await_and_drop(start(hand_over, &error));
    try {
        std::rethrow_exception(error);
    } catch (const Trouble &trouble) {
        go_elsewhere();
        caught = std::strcmp(trouble.what(), "handed over") == 0;
    }
    CHECK(caught);
    return 0;
}

/* A generator and who asks it each handle an exception of their own, and leave their catch blocks by
 * turns: on one list one would end the other's. */
int give_in_catch_block(void *)
{
    CHECK(what_is_handled() == "nothing");
    int error = 0;
    try {
        throw Trouble("the body's");
    } catch (const Trouble &) {
        for (int i = 0; error == 0 && i < 3; i++) {
            go_elsewhere();
            error = whorl_generator_yield(nullptr, nullptr);
            CHECK(what_is_handled() == "the body's");
        }
    }
    CHECK(what_is_handled() == "nothing");
    return error;
}

int ask_in_catch_block(void *)
{
    whorl_generator *generator = nullptr;
    CHECK(whorl_generator_new(give_in_catch_block, nullptr, nullptr, &generator) == 0);
    for (const char *const name : {"asker's first", "asker's second"}) {
        try {
            throw Trouble(name);
        } catch (const Trouble &) {
            CHECK(whorl_generator_next(generator, nullptr) == 0);
            CHECK(what_is_handled() == name);
        }
        CHECK(what_is_handled() == "nothing");
    }
    try {
        throw Trouble("who closes");
    } catch (const Trouble &) {
        whorl_generator_leave(&generator);
        CHECK(what_is_handled() == "who closes");
    }
    CHECK(what_is_handled() == "nothing");
    return 0;
}

whorl_body *const cases[] = {wait_in_catch_block, rethrow_after_wait, wait_while_unwinding,
                             throw_across_waits,  interleave,         take_over,
                             ask_in_catch_block};

int run_cases(void *)
{
    for (whorl_body *one : cases) {
        await_and_drop(start(one, nullptr));
    }
    return 0;
}

/* ---- ways out of a body ---- */

int escape(void *)
{
    throw Trouble("nobody catches this");
}

int leave_thread(void *)
{
    pthread_exit(nullptr);
}

} // namespace

int main(int argc, char **argv)
{
    whorl_options options = {};
    options.no_pin = 1;
    options.report_ns = WHORL_NEVER;
    if (argc > 1) {
        return whorl_run(std::strcmp(argv[1], "exit") == 0 ? leave_thread : escape, nullptr,
                         &options);
    }
    for (const int loops : {1, 3}) {
        options.loops = loops;
        CHECK(whorl_run(run_cases, nullptr, &options) == 0);
    }
    CHECK(crossings >= 5);
    if (wrong == 0) {
        std::puts("caught in their tasks, over waits on other threads");
    }
    return wrong != 0;
}
