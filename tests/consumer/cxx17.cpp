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
