/* Open addressing over fingerprints; names in the order they appeared. */
#include "map.h"

#include "app.h"
#include "record.h"

#include <stdlib.h>
#include <string.h>

static uint64_t spread(uint64_t x) {
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdu;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53u;
  x ^= x >> 33;
  return x ? x : 1;
}

uint64_t map_print(uint64_t a, uint64_t b, uint64_t c) {
  return spread(spread(spread(a) + b) + c);
}

static size_t slot_of(const struct map *map, uint64_t print) {
  size_t slot = print & (map->room - 1);
  while (map->prints[slot] && map->prints[slot] != print)
    slot = (slot + 1) & (map->room - 1);
  return slot;
}

static void grow(struct map *map) {
  struct map bigger = {.room = map->room ? map->room * 2 : 1024};
  bigger.prints = calloc(bigger.room, sizeof *bigger.prints);
  bigger.values = calloc(bigger.room, sizeof *bigger.values);
  if (!bigger.prints || !bigger.values)
    app_die("out of memory");
  for (size_t i = 0; i < map->room; i++) {
    if (!map->prints[i])
      continue;
    size_t slot = slot_of(&bigger, map->prints[i]);
    bigger.prints[slot] = map->prints[i];
    bigger.values[slot] = map->values[i];
  }
  bigger.used = map->used;
  map_free(map);
  *map = bigger;
}

uint32_t map_get(struct map *map, uint64_t print, uint32_t fresh) {
  if (map->used * 2 >= map->room)
    grow(map);
  size_t slot = slot_of(map, print);
  if (!map->prints[slot]) {
    map->prints[slot] = print;
    map->values[slot] = fresh;
    map->used++;
  }
  return map->values[slot];
}

bool map_find(const struct map *map, uint64_t print, uint32_t *value) {
  if (map->room == 0)
    return false;
  size_t slot = slot_of(map, print);
  if (map->prints[slot])
    *value = map->values[slot];
  return map->prints[slot] != 0;
}

void map_free(struct map *map) {
  free(map->prints);
  free(map->values);
  *map = (struct map){0};
}

uint32_t names_id(struct names *names, const char *text) {
  uint64_t print = digest_bytes(digest_start(), text, strlen(text), false);
  uint32_t id = map_get(&names->map, spread(print), names->used);
  if (id < names->used)
    return id;
  if (names->used == names->room) {
    names->room = names->room ? names->room * 2 : 64;
    names->text = realloc(names->text, names->room * sizeof *names->text);
    if (!names->text)
      app_die("out of memory");
  }
  names->text[names->used++] = strdup(text);
  return id;
}

void names_free(struct names *names) {
  for (uint32_t i = 0; i < names->used; i++)
    free(names->text[i]);
  free(names->text);
  map_free(&names->map);
}
