/*
 * A map from 64-bit fingerprints to small numbers, and names as numbers. The
 * fingerprint alone decides: among a million entries the chance that two
 * collide is below one in ten million.
 */
#ifndef WORLD_MAP_H
#define WORLD_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map {
  uint64_t *prints; /* 0: free */
  uint32_t *values;
  size_t room, used;
};

/* The value of `print`, which is first set to `fresh` if it was not there. */
uint32_t map_get(struct map *map, uint64_t print, uint32_t fresh);

/* Whether `print` is there; its value goes to `value`. */
bool map_find(const struct map *map, uint64_t print, uint32_t *value);

void map_free(struct map *map);

/* One fingerprint of three numbers. */
uint64_t map_print(uint64_t a, uint64_t b, uint64_t c);

struct names {
  struct map map;
  char **text;
  uint32_t used, room;
};

uint32_t names_id(struct names *names, const char *text);
void names_free(struct names *names);

#endif
