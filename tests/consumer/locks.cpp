/*
 * locks.cpp - the locks of the C++ library, held over a wait in debug mode: each is told.
 */
#include <whorl.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <shared_mutex>

static int reports;

static int keep(void *, const struct whorl_report *report)
{
    reports += report->locks != nullptr && std::strstr(report->locks, " taken at ") != nullptr;
    return 0;
}

template <typename Guard, typename Lock> static int over_a_wait()
{
    static Lock lock;
    const Guard guard(lock);
    return whorl_sleep(100 * WHORL_MICROSECOND);
}

static int hold_each(void *)
{
    std::timed_mutex timed;
    int error = over_a_wait<std::lock_guard<std::mutex>, std::mutex>();
    error |= over_a_wait<std::unique_lock<std::recursive_mutex>, std::recursive_mutex>();
    error |= over_a_wait<std::shared_lock<std::shared_mutex>, std::shared_mutex>();
    error |= over_a_wait<std::unique_lock<std::shared_mutex>, std::shared_mutex>();
    if (!timed.try_lock_for(std::chrono::seconds(10))) {
        return -1;
    }
    error |= whorl_sleep(100 * WHORL_MICROSECOND);
    timed.unlock();
    return error | whorl_sleep(100 * WHORL_MICROSECOND);
}

int main()
{
    struct whorl_options options = {};
    options.loops = 1;
    options.debug = 1;
    options.exception_handler = keep;
    const int error = whorl_run(hold_each, nullptr, &options);
    std::printf("%d reports\n", reports);
    return error == 0 && reports == 5 ? 0 : 1;
}
