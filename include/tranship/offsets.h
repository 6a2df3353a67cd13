/* The exact map of one partition: which record lies where on the other side.
 *
 * Kept as runs in which both offsets count up together; a transaction marker,
 * a compaction hole or anything foreign begins a new one. Both sides grow
 * together: a later source offset never has an earlier target offset.
 *
 * Where a committed position c ("next to read") goes: to the target of the
 * first mapped record at or after c; with no such record, behind the last one,
 * provided the mirror has passed c; else it cannot be told yet. Never by
 * arithmetic over a gap.
 *
 * Pure data, used by one thread at a time. Functions that can fail return 0 or
 * TSH_NO_MEMORY, TSH_INVALID (values that cannot be meant), TSH_CONFLICT (it
 * is mapped otherwise), TSH_PROTOCOL (bytes that are no saved map). */
#ifndef TRANSHIP_OFFSETS_H
#define TRANSHIP_OFFSETS_H

#include <stddef.h>
#include <stdint.h>

#include "tranship/err.h"

/* Records source..source+count-1 lie at target..target+count-1. */
typedef struct tsh_segment {
  int64_t source;
  int64_t target;
  int64_t count;
} tsh_segment;

typedef struct tsh_offsets tsh_offsets;

/* Nothing below (source, target) belongs to the map: where mirroring began. */
tsh_offsets *tsh_offsets_new(int64_t source, int64_t target);
void tsh_offsets_free(tsh_offsets *map);

/* Adds records. What is known already may be told again, wholly or in part;
 * anything told otherwise is a conflict, and then nothing is added. */
int tsh_offsets_append(tsh_offsets *map, int64_t source, int64_t target,
                       int64_t count, tsh_err *err);
/* The mirror has come to here: all source records below `source` are mapped,
 * and so are all target records below `target`. Going back is ignored. */
void tsh_offsets_reach(tsh_offsets *map, int64_t source, int64_t target);

typedef enum tsh_found {
  TSH_FOUND_EXACT,  /* the record at the offset asked for */
  TSH_FOUND_NEXT,   /* there is none: the first one after it */
  TSH_FOUND_END,    /* none after it either: behind the last one */
  TSH_FOUND_BEHIND, /* no answer: the mirror has not come so far */
  TSH_FOUND_BEFORE  /* no answer: below where mirroring began */
} tsh_found;

/* "exact", "next", "end", "behind", "before". */
const char *tsh_found_name(tsh_found found);

tsh_found tsh_offsets_lookup(const tsh_offsets *map, int64_t source,
                             int64_t *target);
/* The same question from the other side. */
tsh_found tsh_offsets_reverse(const tsh_offsets *map, int64_t target,
                              int64_t *source);

size_t tsh_offsets_count(const tsh_offsets *map); /* of segments */
tsh_segment tsh_offsets_at(const tsh_offsets *map, size_t index);
void tsh_offsets_begin(const tsh_offsets *map, int64_t *source,
                       int64_t *target);
void tsh_offsets_position(const tsh_offsets *map, int64_t *source,
                          int64_t *target);

/* A few bytes per segment, with version and checksum; malloc'd. */
int tsh_offsets_save(const tsh_offsets *map, uint8_t **bytes, size_t *size,
                     tsh_err *err);
int tsh_offsets_load(tsh_offsets **out, const uint8_t *bytes, size_t size,
                     tsh_err *err);

#endif
