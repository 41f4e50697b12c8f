/*
 * forkjoin_tbb.cpp - the fork-join work of bench/forkjoin.c, as a user of oneTBB would write it.
 *
 * forkjoin_tbb fib N THREADS, forkjoin_tbb skynet LEAVES THREADS: prints the nanoseconds of the
 * second pass; the first one makes threads and memory. Exit code 2: the result was wrong.
 *
 * One task_group a call, which is what the library's documentation shows for such recursion.
 */
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>

static long fib(long n)
{
    if (n < 2) {
        return n;
    }
    long one = 0;
    oneapi::tbb::task_group group;
    group.run([&one, n] { one = fib(n - 1); });
    const long other = fib(n - 2);
    group.wait();
    return one + other;
}

static long skynet(long number, long leaves)
{
    if (leaves == 1) {
        return number;
    }
    long sums[10] = {0};
    oneapi::tbb::task_group group;
    for (long i = 0; i < 10; i++) {
        group.run([&sums, number, leaves, i] {
            sums[i] = skynet(number + i * (leaves / 10), leaves / 10);
        });
    }
    group.wait();
    long sum = 0;
    for (const long part : sums) {
        sum += part;
    }
    return sum;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        std::fprintf(stderr, "usage: forkjoin_tbb fib|skynet SIZE THREADS\n");
        return 2;
    }
    const bool is_fib = std::strcmp(argv[1], "fib") == 0;
    const long size = std::atol(argv[2]);
    const int threads = std::atoi(argv[3]);
    oneapi::tbb::global_control limit(oneapi::tbb::global_control::max_allowed_parallelism,
                                      static_cast<std::size_t>(threads));
    oneapi::tbb::task_arena arena(threads);
    long result = 0;
    long long spent_ns = 0;
    for (int pass = 0; pass < 2; pass++) {
        const auto begin = std::chrono::steady_clock::now();
        arena.execute([&] { result = is_fib ? fib(size) : skynet(0, size); });
        spent_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(
                       std::chrono::steady_clock::now() - begin)
                       .count();
    }
    std::printf("%ld %lld\n", result, spent_ns);
    return 0;
}
