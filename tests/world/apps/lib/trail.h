/*
 * A trail is the file in which a program writes down what it did, for a reader
 * who trusts nobody. One line per event, fields between single spaces:
 *
 *   MS CLUSTER start APP PID
 *   MS CLUSTER stop APP
 *   MS CLUSTER reserve N                     numbers below N may be in use
 *   MS CLUSTER wrote TOPIC PARTITION OFFSET TIMESTAMP KEY SEQ DIGEST
 *   MS CLUSTER read  TOPIC PARTITION OFFSET TIMESTAMP KEY SEQ DIGEST
 *   MS CLUSTER have  TOPIC PARTITION N DIGEST    the partition's N-th record
 *   MS CLUSTER last  TOPIC PARTITION KEY DIGEST  a compacted key's final value
 *
 * MS is wall-clock milliseconds. A key that is null is "-", other bytes than
 * letters, digits and "._-" are %XX. `wrote` is written when the broker has
 * acknowledged the record, `read` before its position is committed.
 */
#ifndef WORLD_TRAIL_H
#define WORLD_TRAIL_H

#include "record.h"

struct trail;

/* Opens for appending; a last line torn by a kill is cut off. */
struct trail *trail_open(const char *path, const char *cluster);
void trail_close(struct trail *trail);

/* Appends one line; it reaches the file at the next flush, in whole lines. */
void trail_line(struct trail *trail, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void trail_flush(struct trail *trail);

/* One record that was acknowledged ("wrote") or seen ("read"). */
void trail_record(struct trail *trail, const char *verb, const char *topic,
                  int partition, int64_t offset, const struct stamp *stamp);

/* The first number no earlier start can have used; 0 on a new trail. */
int64_t trail_next(const char *path);

#endif
