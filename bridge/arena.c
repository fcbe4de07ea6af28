/* SPDX-License-Identifier: MIT */
#include "arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_MIN = 64 * 1024 };

struct arena_chunk {
    struct arena_chunk *next;
    size_t size; /* of bytes */
    alignas(max_align_t) unsigned char bytes[];
};

void arena_init(struct arena *arena, size_t max) {
    *arena = (struct arena){.max = max};
}

static struct arena_chunk *grow(struct arena *arena, size_t size) {
    if (size < CHUNK_MIN)
        size = CHUNK_MIN;
    if (size > arena->max - arena->total)
        return NULL;
    struct arena_chunk *chunk = malloc(sizeof *chunk + size);
    if (chunk == NULL)
        return NULL;
    chunk->next = arena->chunk;
    chunk->size = size;
    arena->chunk = chunk;
    arena->used = 0;
    arena->total += size;
    return chunk;
}

void *arena_take(struct arena *arena, size_t size) {
    size_t align = alignof(max_align_t);
    if (size > arena->max)
        return NULL;
    size = (size + align - 1) / align * align;
    struct arena_chunk *chunk = arena->chunk;
    if (chunk == NULL || size > chunk->size - arena->used)
        chunk = grow(arena, size);
    if (chunk == NULL)
        return NULL;
    void *taken = chunk->bytes + arena->used;
    arena->used += size;
    return taken;
}

void *arena_array(struct arena *arena, size_t count, size_t size) {
    if (size != 0 && count > SIZE_MAX / size)
        return NULL;
    void *taken = arena_take(arena, count * size);
    if (taken != NULL)
        memset(taken, 0, count * size);
    return taken;
}

void arena_reset(struct arena *arena) {
    struct arena_chunk *keep = arena->chunk;
    while (keep != NULL && keep->next != NULL) {
        struct arena_chunk *next = keep->next;
        free(keep);
        keep = next;
    }
    arena->chunk = keep;
    arena->used = 0;
    arena->total = keep != NULL ? keep->size : 0;
}

void arena_free(struct arena *arena) {
    arena_reset(arena);
    free(arena->chunk);
    arena->chunk = NULL;
    arena->total = 0;
}
