/* Source-to-target offsets as sorted runs. */
#include "tranship/offsets.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tranship/batch.h"

enum {
  FIRST_CAPACITY = 16,
  VARINT_MAX = 10,
  CRC_SIZE = 4,
  HEAD_VARINTS = 5 /* begin and position on both sides, number of segments */
};
static const uint8_t magic[4] = {'T', 'S', 'M', 1}; /* the last is a version */

struct tsh_offsets {
  tsh_segment *segments;
  size_t count;
  size_t capacity;
  tsh_segment begin;    /* count unused */
  tsh_segment position; /* count unused */
};

tsh_offsets *tsh_offsets_new(int64_t source, int64_t target) {
  tsh_offsets *map = calloc(1, sizeof *map);
  if (map != NULL)
    map->begin = map->position = (tsh_segment){source, target, 0};
  return map;
}

void tsh_offsets_free(tsh_offsets *map) {
  if (map == NULL)
    return;
  free(map->segments);
  free(map);
}

size_t tsh_offsets_count(const tsh_offsets *map) { return map->count; }

tsh_segment tsh_offsets_at(const tsh_offsets *map, size_t index) {
  return map->segments[index];
}

void tsh_offsets_begin(const tsh_offsets *map, int64_t *source,
                       int64_t *target) {
  *source = map->begin.source;
  *target = map->begin.target;
}

void tsh_offsets_position(const tsh_offsets *map, int64_t *source,
                          int64_t *target) {
  *source = map->position.source;
  *target = map->position.target;
}

const char *tsh_found_name(tsh_found found) {
  static const char *const names[] = {"exact", "next", "end", "behind",
                                      "before"};
  return names[found];
}

/* --- finding --- */

static int64_t side(const tsh_segment *segment, bool target) {
  return target ? segment->target : segment->source;
}

/* The first segment that ends behind the offset, or count. */
static size_t first_after(const tsh_offsets *map, int64_t offset, bool target) {
  size_t low = 0, high = map->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    const tsh_segment *at = &map->segments[middle];
    if (side(at, target) + at->count > offset)
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

static tsh_found find(const tsh_offsets *map, int64_t offset, bool reverse,
                      int64_t *out) {
  if (offset < side(&map->begin, reverse))
    return TSH_FOUND_BEFORE;
  size_t i = first_after(map, offset, reverse);
  if (i < map->count) {
    const tsh_segment *at = &map->segments[i];
    int64_t into = offset - side(at, reverse);
    *out = side(at, !reverse) + (into > 0 ? into : 0);
    return into >= 0 ? TSH_FOUND_EXACT : TSH_FOUND_NEXT;
  }
  if (offset > side(&map->position, reverse))
    return TSH_FOUND_BEHIND;
  const tsh_segment *last =
      map->count > 0 ? &map->segments[map->count - 1] : &map->begin;
  *out = side(last, !reverse) + last->count;
  return TSH_FOUND_END;
}

tsh_found tsh_offsets_lookup(const tsh_offsets *map, int64_t source,
                             int64_t *target) {
  return find(map, source, false, target);
}

tsh_found tsh_offsets_reverse(const tsh_offsets *map, int64_t target,
                              int64_t *source) {
  return find(map, target, true, source);
}

/* --- adding --- */

void tsh_offsets_reach(tsh_offsets *map, int64_t source, int64_t target) {
  if (source > map->position.source)
    map->position.source = source;
  if (target > map->position.target)
    map->position.target = target;
}

static int conflict(tsh_err *err, const tsh_segment *told,
                    const tsh_segment *known) {
  return tsh_err_set(err, TSH_CONFLICT, "offsets", 0,
                     "source %lld is told to lie at %lld, but source %lld "
                     "lies at %lld",
                     (long long)told->source, (long long)told->target,
                     (long long)known->source, (long long)known->target);
}

static bool overlap_agrees(const tsh_segment *known, const tsh_segment *told) {
  return known->target - known->source == told->target - told->source;
}

/* Before `known` in both orders. */
static bool precedes(const tsh_segment *told, const tsh_segment *known) {
  return told->source + told->count <= known->source &&
         told->target + told->count <= known->target;
}

/* Whether all of it fits: it agrees where it overlaps, and keeps the order
 * where it fills a gap. */
static int check(const tsh_offsets *map, const tsh_segment *told,
                 tsh_err *err) {
  int64_t end = told->source + told->count;
  size_t i = first_after(map, told->source, false);
  if (i > 0 && !precedes(&map->segments[i - 1], told))
    return conflict(err, told, &map->segments[i - 1]);
  for (; i < map->count && map->segments[i].source < end; i++)
    if (!overlap_agrees(&map->segments[i], told))
      return conflict(err, told, &map->segments[i]);
  if (i < map->count && !precedes(told, &map->segments[i]))
    return conflict(err, told, &map->segments[i]);
  return 0;
}

static int make_room(tsh_offsets *map, tsh_err *err) {
  if (map->count < map->capacity)
    return 0;
  size_t capacity = map->capacity == 0 ? FIRST_CAPACITY : 2 * map->capacity;
  tsh_segment *grown = realloc(map->segments, capacity * sizeof *grown);
  if (grown == NULL)
    return tsh_err_set(err, TSH_NO_MEMORY, "offsets", 0,
                       "no memory for %zu segments", capacity);
  map->segments = grown;
  map->capacity = capacity;
  return 0;
}

static bool continues(const tsh_segment *before, const tsh_segment *after) {
  return before->source + before->count == after->source &&
         before->target + before->count == after->target;
}

static void remove_at(tsh_offsets *map, size_t first, size_t count) {
  memmove(&map->segments[first], &map->segments[first + count],
          (map->count - first - count) * sizeof *map->segments);
  map->count -= count;
}

/* Replaces what it touches by the union; it was checked, and there is room. */
static void put(tsh_offsets *map, tsh_segment told) {
  size_t i = first_after(map, told.source, false), touched = 0;
  if (i > 0 && continues(&map->segments[i - 1], &told))
    i--;
  while (i + touched < map->count) {
    const tsh_segment *at = &map->segments[i + touched];
    int64_t end = told.source + told.count;
    if (at->source > end || (at->source == end && !continues(&told, at)))
      break;
    int64_t at_end = at->source + at->count;
    if (at->source < told.source) {
      told.source = at->source;
      told.target = at->target;
    }
    told.count = (at_end > end ? at_end : end) - told.source;
    touched++;
  }
  if (touched == 0) {
    memmove(&map->segments[i + 1], &map->segments[i],
            (map->count - i) * sizeof *map->segments);
    map->count++;
  } else {
    remove_at(map, i + 1, touched - 1);
  }
  map->segments[i] = told;
}

int tsh_offsets_append(tsh_offsets *map, int64_t source, int64_t target,
                       int64_t count, tsh_err *err) {
  tsh_segment told = {source, target, count};
  if (source < 0 || target < 0 || count < 0 || source > INT64_MAX - count ||
      target > INT64_MAX - count)
    return tsh_err_set(err, TSH_INVALID, "offsets", 0,
                       "no segment: source %lld, target %lld, count %lld",
                       (long long)source, (long long)target, (long long)count);
  if (count == 0)
    return 0;
  if (!precedes(&map->begin, &told))
    return conflict(err, &told, &map->begin);
  int status = check(map, &told, err);
  if (status == 0)
    status = make_room(map, err);
  if (status != 0)
    return status;
  put(map, told);
  tsh_offsets_reach(map, source + count, target + count);
  return 0;
}

/* --- saving --- */

/* Plain varints: everything saved counts up from what precedes it. */
static uint8_t *put_number(uint8_t *at, uint64_t value) {
  for (; value >= 128; value >>= 7)
    *at++ = (uint8_t)(value | 128);
  *at++ = (uint8_t)value;
  return at;
}

static const uint8_t *get_number(const uint8_t *at, const uint8_t *end,
                                 int64_t *out) {
  uint64_t value = 0;
  for (int shift = 0; at != NULL && at < end && shift < 63; shift += 7) {
    uint8_t byte = *at++;
    value |= (uint64_t)(byte & 127) << shift;
    if (byte < 128) {
      *out = (int64_t)value;
      return at;
    }
  }
  return NULL;
}

int tsh_offsets_save(const tsh_offsets *map, uint8_t **bytes, size_t *size,
                     tsh_err *err) {
  uint8_t *start = malloc(sizeof magic + CRC_SIZE +
                          (HEAD_VARINTS + 3 * map->count) * VARINT_MAX);
  if (start == NULL)
    return tsh_err_set(err, TSH_NO_MEMORY, "offsets", 0,
                       "no memory to save %zu segments", map->count);
  memcpy(start, magic, sizeof magic);
  tsh_segment before = map->begin;
  uint8_t *at = start + sizeof magic;
  at = put_number(at, (uint64_t)before.source);
  at = put_number(at, (uint64_t)before.target);
  at = put_number(at, (uint64_t)(map->position.source - before.source));
  at = put_number(at, (uint64_t)(map->position.target - before.target));
  at = put_number(at, map->count);
  for (size_t i = 0; i < map->count; i++) {
    tsh_segment next = map->segments[i];
    at = put_number(at, (uint64_t)(next.source - before.source - before.count));
    at = put_number(at, (uint64_t)(next.target - before.target - before.count));
    at = put_number(at, (uint64_t)next.count);
    before = next;
  }
  uint32_t crc = tsh_crc32c(0, start, (size_t)(at - start));
  for (int shift = 24; shift >= 0; shift -= 8)
    *at++ = (uint8_t)(crc >> shift);
  *bytes = start;
  *size = (size_t)(at - start);
  return 0;
}

static int no_map(tsh_err *err, const char *why) {
  return tsh_err_set(err, TSH_PROTOCOL, "offsets", 0, "no saved map: %s", why);
}

static int check_frame(const uint8_t *bytes, size_t size, tsh_err *err) {
  if (size < sizeof magic + CRC_SIZE)
    return no_map(err, "too short");
  if (memcmp(bytes, magic, sizeof magic - 1) != 0)
    return no_map(err, "other bytes");
  if (bytes[sizeof magic - 1] != magic[sizeof magic - 1])
    return no_map(err, "of a version that is not known here");
  uint32_t crc = 0;
  for (size_t i = size - CRC_SIZE; i < size; i++)
    crc = crc << 8 | bytes[i];
  if (crc != tsh_crc32c(0, bytes, size - CRC_SIZE))
    return no_map(err, "the checksum differs");
  return 0;
}

static int load_segments(tsh_offsets *map, const uint8_t *at,
                         const uint8_t *end, int64_t count, tsh_err *err) {
  tsh_segment before = map->begin;
  for (int64_t i = 0; i < count; i++) {
    tsh_segment next = {0};
    at = get_number(at, end, &next.source);
    at = get_number(at, end, &next.target);
    at = get_number(at, end, &next.count);
    if (at == NULL)
      return no_map(err, "it ends early");
    if (__builtin_add_overflow(next.source, before.source + before.count,
                               &next.source) ||
        __builtin_add_overflow(next.target, before.target + before.count,
                               &next.target))
      return no_map(err, "offsets too large");
    int status =
        tsh_offsets_append(map, next.source, next.target, next.count, err);
    if (status != 0)
      return status;
    before = next;
  }
  return at == end ? 0 : no_map(err, "it does not end");
}

int tsh_offsets_load(tsh_offsets **out, const uint8_t *bytes, size_t size,
                     tsh_err *err) {
  tsh_segment begin = {0}, position = {0};
  int64_t count = 0;
  int status = check_frame(bytes, size, err);
  if (status != 0)
    return status;
  const uint8_t *at = bytes + sizeof magic, *end = bytes + size - CRC_SIZE;
  at = get_number(at, end, &begin.source);
  at = get_number(at, end, &begin.target);
  at = get_number(at, end, &position.source);
  at = get_number(at, end, &position.target);
  at = get_number(at, end, &count);
  if (at == NULL)
    return no_map(err, "it ends early");
  if (__builtin_add_overflow(position.source, begin.source, &position.source) ||
      __builtin_add_overflow(position.target, begin.target, &position.target))
    return no_map(err, "offsets too large");
  tsh_offsets *map = tsh_offsets_new(begin.source, begin.target);
  if (map == NULL)
    return tsh_err_set(err, TSH_NO_MEMORY, "offsets", 0, "out of memory");
  tsh_offsets_reach(map, position.source, position.target);
  status = load_segments(map, at, end, count, err);
  if (status != 0)
    tsh_offsets_free(map);
  else
    *out = map;
  return status;
}
