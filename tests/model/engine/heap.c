/*
 * heap.c - model_alloc and model_free: memory that is never used twice in one execution.
 *
 * Owns:       an arena, and for each of its lines the block that lies there.
 * Invariant:  a block begins on a line and nothing else lies on its lines; a freed one keeps them
 *             until the execution ends, so a late access is known for what it is.
 */
#include "model/engine/engine.h"

#include <stdio.h>
#include <string.h>

enum { ARENA_LINES = 1 << 16, BLOCKS_MAX = 1 << 12, FILL = 0xa5 };

static char arena[(size_t)ARENA_LINES * WHORL_CACHE_LINE] WHORL_ALIGNED(WHORL_CACHE_LINE);
static uint16_t block_of[ARENA_LINES]; /* 1 + the block; 0 = none */
static struct {
    size_t first_line;
    size_t bytes;
    bool freed;
} blocks[BLOCKS_MAX];
static unsigned lines_used;
static unsigned block_count;

void heap_reset(void)
{
    memset(block_of, 0, lines_used * sizeof(block_of[0]));
    lines_used = 0;
    block_count = 0;
}

void *model_alloc(size_t bytes)
{
    const size_t lines = (bytes + WHORL_CACHE_LINE - 1) / WHORL_CACHE_LINE + (bytes == 0);
    if (block_count == BLOCKS_MAX || lines > ARENA_LINES - lines_used) {
        run_fail("an execution may allocate %d blocks, %d kB", BLOCKS_MAX,
                 (int)(sizeof(arena) >> 10));
    }
    blocks[block_count].first_line = lines_used;
    blocks[block_count].bytes = bytes;
    blocks[block_count].freed = false;
    block_count++;
    for (size_t i = 0; i < lines; i++) {
        block_of[lines_used + i] = (uint16_t)block_count;
    }
    char *const start = arena + (size_t)lines_used * WHORL_CACHE_LINE;
    memset(start, FILL, bytes);
    lines_used += (unsigned)lines;
    return start;
}

static bool in_arena(uint64_t address)
{
    return address >= (uintptr_t)arena && address < (uintptr_t)arena + sizeof(arena);
}

void model_free(void *block)
{
    if (block == NULL) {
        return;
    }
    const uint64_t offset = (uintptr_t)block - (uintptr_t)arena;
    const unsigned number = in_arena((uintptr_t)block) ? block_of[offset / WHORL_CACHE_LINE] : 0;
    if (number == 0 || blocks[number - 1].first_line * WHORL_CACHE_LINE != offset) {
        run_fail("free of what model_alloc did not give");
    }
    if (blocks[number - 1].freed) {
        run_fail("block %u is freed twice", number);
    }
    race_check_free(block, blocks[number - 1].bytes);
    blocks[number - 1].freed = true;
    memset(block, FILL, blocks[number - 1].bytes); /* who uses it by an unmarked access stumbles */
}

static _Noreturn void fail_access(const struct whorl__site *site, const char *what, unsigned number,
                                  size_t offset)
{
    run_fail("%s: block %u + %zu, by the %s of %s at %s:%d", what, number, offset,
             sites_op_name(site->op), site->field, sites_short_file(site->file), site->line);
}

void heap_check_access(const struct whorl__site *site, const void *address, unsigned bytes)
{
    if (!in_arena((uintptr_t)address)) {
        return;
    }
    const size_t offset = (size_t)((const char *)address - arena);
    const unsigned number = block_of[offset / WHORL_CACHE_LINE];
    if (number == 0) {
        fail_access(site, "access to memory that is not allocated", 0, offset);
    }
    const size_t inside = offset - blocks[number - 1].first_line * WHORL_CACHE_LINE;
    if (blocks[number - 1].freed) {
        fail_access(site, "use after free", number, inside);
    }
    if (inside + bytes > blocks[number - 1].bytes) {
        fail_access(site, "access behind the end", number, inside);
    }
}

void heap_check_leaks(void)
{
    for (unsigned i = 0; i < block_count; i++) {
        if (!blocks[i].freed) {
            run_fail("leak: block %u, %zu bytes, was not freed", i + 1, blocks[i].bytes);
        }
    }
}

bool heap_describe(uint64_t address, char *ret_text, size_t bytes_max)
{
    const uint64_t state = (uintptr_t)engine.state;
    if (address >= state && address < state + engine.state_room) {
        (void)snprintf(ret_text, bytes_max, "state+%u", (unsigned)(address - state));
        return true;
    }
    if (!in_arena(address)) {
        return false;
    }
    const size_t offset = (size_t)(address - (uintptr_t)arena);
    const unsigned number = block_of[offset / WHORL_CACHE_LINE];
    if (number == 0) {
        return false;
    }
    (void)snprintf(ret_text, bytes_max, "block%u+%zu", number,
                   offset - blocks[number - 1].first_line * WHORL_CACHE_LINE);
    return true;
}
