/*
 * cxx17.cpp - a program in C++17: lambdas for bodies, objects on the stacks of tasks, exceptions.
 */
#include <whorl.h>

#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

struct Guard {
    int &alive;
    explicit Guard(int &counter) : alive(counter) { ++alive; }
    ~Guard() { --alive; }
    Guard(const Guard &) = delete;
    Guard &operator=(const Guard &) = delete;
};

struct Unref {
    void operator()(whorl_task *task) const { whorl_task_unref(task); }
};
using Task = std::unique_ptr<whorl_task, Unref>;

struct Part {
    int alive = 0;
    std::string text;
};

/* Before any code of the program runs. */
whorl_lock lock = WHORL_LOCK_INIT;
whorl_lock owned = WHORL_LOCK_INIT_FLAGS(WHORL_LOCK_OWNED);
whorl_semaphore semaphore = WHORL_SEMAPHORE_INIT(2);
whorl_semaphore bounded = WHORL_SEMAPHORE_INIT_FLAGS(1, WHORL_SEMAPHORE_BOUNDED);
whorl_event event = WHORL_EVENT_INIT;
whorl_condition condition = WHORL_CONDITION_INIT;
whorl_condition sharer = WHORL_CONDITION_INIT_LOCK(&lock);
whorl_barrier barrier = WHORL_BARRIER_INIT(1);
whorl_queue fifo = WHORL_QUEUE_INIT(4);
whorl_queue lifo = WHORL_QUEUE_INIT_LIFO(4);
whorl_queue heap = WHORL_QUEUE_INIT_PRIORITY(4, [](const void *, const void *) { return 0; });
whorl_rwlock rwlock = WHORL_RWLOCK_INIT;
whorl_once once = WHORL_ONCE_INIT;
whorl_strand strand = WHORL_STRAND_INIT;

/* How many of them do not what they should. */
int count_broken()
{
    const bool works[] = {
        whorl_lock_acquire(&lock) == 0 && whorl_lock_release(&lock) == 0,
        whorl_lock_acquire(&owned) == 0 && whorl_lock_acquire(&owned) == -EDEADLK,
        whorl_semaphore_value(&semaphore) == 2,
        whorl_semaphore_release(&bounded) == -EOVERFLOW,
        whorl_event_set(&event) == 0 && whorl_event_wait(&event) == 0,
        whorl_condition_lock(&condition) != nullptr,
        whorl_condition_lock(&sharer) == &lock,
        whorl_barrier_wait(&barrier, nullptr) == 0,
        whorl_queue_put(&fifo, nullptr) == 0 && whorl_queue_size(&fifo) == 1,
        whorl_queue_put(&lifo, nullptr) == 0 && whorl_queue_size(&lifo) == 1,
        whorl_queue_put(&heap, nullptr) == 0 && whorl_queue_size(&heap) == 1,
        whorl_rwlock_acquire_write(&rwlock) == 0 && whorl_rwlock_release_write(&rwlock) == 0,
        whorl_once_run(&once, [](void *) { return 0; }, nullptr) == 0 && whorl_once_done(&once),
        whorl_strand_enter(&strand) == 0 && whorl_strand_enter(nullptr) == 0,
    };
    int broken = 0;
    for (const bool does : works) {
        broken += !does;
    }
    return broken + (whorl_lock_release(&owned) != 0);
}

/* What a task may throw it also catches: an exception has no way out of a body. */
int run_part(void *arg)
{
    Part &part = *static_cast<Part *>(arg);
    try {
        const Guard guard(part.alive);
        if (whorl_yield() != 0) {
            return -ECANCELED;
        }
        throw std::runtime_error("caught in the task");
    } catch (const std::exception &error) {
        if (whorl_sleep(WHORL_MILLISECOND) != 0) {
            return -ECANCELED;
        }
        part.text = error.what();
    }
    return part.alive == 0 ? 0 : -EPROTO;
}

int main_task(void *)
{
    if (count_broken() != 0) {
        return -EPROTO;
    }
    std::vector<Part> parts(20);
    std::vector<Task> tasks;
    for (Part &part : parts) {
        whorl_task *task = nullptr;
        if (const int error = whorl_spawn(run_part, &part, nullptr, &task); error != 0) {
            return error;
        }
        tasks.emplace_back(task);
    }
    for (std::size_t i = 0; i < tasks.size(); i++) {
        if (const int error = whorl_await(tasks[i].get(), nullptr); error != 0) {
            return error;
        }
        if (parts[i].text != "caught in the task") {
            return -EPROTO;
        }
    }
    return 0;
}

} // namespace

int main()
{
    whorl_options options = {};
    options.loops = 2;
    const int error = whorl_run(main_task, nullptr, &options);
    if (error == 0) {
        std::puts("20 exceptions caught where they were thrown");
    }
    return error != 0;
}
