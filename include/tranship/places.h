/* Positions of one cluster told as positions of the other, one way, for all
 * partitions of a bridge: by question, or as a filter over rows of text.
 *
 * The arithmetic is that of tranship/offsets.h. A place is exact or it is not
 * given, and then one word says why. Pure data but for tsh_rows_pass; used by
 * one thread at a time. */
#ifndef TRANSHIP_PLACES_H
#define TRANSHIP_PLACES_H

#include <stdint.h>

#include "tranship/buf.h"
#include "tranship/offsets.h"

typedef struct tsh_places tsh_places;

/* What is known of one partition; texts are copied. */
typedef struct tsh_place_part {
  const char *topic; /* where positions come from */
  const char *topic_there;
  int32_t partition;
  tsh_offsets *map;             /* becomes the places' own, also on failure */
  int64_t first_there;          /* the log there begins here; 0: not known */
  int64_t foreign, foreign_end; /* [from, to) is somebody else's */
  bool left_out;                /* what lies below the map was left out */
} tsh_place_part;

typedef enum tsh_place {
  TSH_PLACE_EXACT,    /* of the record at the position */
  TSH_PLACE_HOLE,     /* no record there: of the first one after it */
  TSH_PLACE_END,      /* none after it either: behind the last one */
  TSH_PLACE_AHEAD,    /* not mirrored yet */
  TSH_PLACE_BELOW,    /* below where the mirror began, and so did the log */
  TSH_PLACE_LEFT_OUT, /* the same, but there were records */
  TSH_PLACE_GONE,     /* the other log no longer holds it */
  TSH_PLACE_FOREIGN,
  TSH_PLACE_PARTITION, /* the topic is known, the partition is not */
  TSH_PLACE_TOPIC,     /* unknown topic */
  TSH_PLACE_UNREADABLE /* of a row: there is no position in it */
} tsh_place;

enum { TSH_PLACE_KINDS = TSH_PLACE_UNREADABLE + 1 };

/* "exact", "hole", "end", "not mirrored yet", ... */
const char *tsh_place_name(tsh_place place);

typedef struct tsh_place_answer {
  tsh_place how;
  int64_t offset;          /* up to TSH_PLACE_END */
  const char *topic_there; /* NULL: unknown */
} tsh_place_answer;

/* `back`: positions are on the maps' target side. `records`: an offset names a
 * record, not the next one to read, so HOLE and END are no places. */
tsh_places *tsh_places_new(bool back, bool records);
void tsh_places_free(tsh_places *places);
int tsh_places_add(tsh_places *places, const tsh_place_part *part,
                   tsh_err *err);
/* The topic's name need not be terminated. */
tsh_place_answer tsh_places_find(const tsh_places *places, const char *topic,
                                 size_t length, int64_t partition,
                                 int64_t offset);
/* Was a place given? */
bool tsh_places_is_given(const tsh_places *places, tsh_place how);

/* Rows that hold positions: CSV (RFC 4180, one delimiter) or JSON objects one
 * after the other, in arrays, or nested anywhere. Of a row the offset and, if
 * it has another name there, the topic are replaced; every other byte stays. A
 * row without a place gets an empty offset (CSV) or null (JSON). */
typedef struct tsh_rows_spec { /* texts are copied */
  bool json;
  char delimiter;
  bool no_head; /* CSV: columns are numbers from 1 on */
  /* Names of columns, or of fields; "a.b" is field b of object a. */
  const char *topic, *partition, *offset;
  const char *all_topic; /* every row is about this topic; NULL: its column */
  int64_t all_partition; /* the same; -1: its column */
  const char *note;      /* a column or field with the word; NULL: none */
} tsh_rows_spec;

typedef struct tsh_rows tsh_rows;

enum { TSH_ROWS_SHOWN = 20 };

typedef struct tsh_rows_told {
  int64_t count[TSH_PLACE_KINDS]; /* rows by answer */
  struct {
    int64_t row; /* from 1 on, the head not counted */
    tsh_place how;
  } refused[TSH_ROWS_SHOWN]; /* the first ones */
  int refused_count;
} tsh_rows_told;

/* The places become the rows' own, also on failure. */
tsh_rows *tsh_rows_new(const tsh_rows_spec *spec, tsh_places *places,
                       tsh_err *err);
void tsh_rows_free(tsh_rows *rows);
/* Takes in bytes and adds to `out` what is finished; `last`: nothing follows.
 * TSH_INVALID: the head lacks a column, or the text is no JSON. */
int tsh_rows_feed(tsh_rows *rows, const char *bytes, size_t size, bool last,
                  tsh_buf *out, tsh_err *err);
/* All of one descriptor to another; blocks. */
int tsh_rows_pass(tsh_rows *rows, int input, int output, tsh_err *err);
const tsh_rows_told *tsh_rows_what(const tsh_rows *rows);

#endif
