/* The copier: moves whole record batches from one cluster's partitions to
 * another's, exactly once, on threads and loops of its own.
 *
 * A flow copies one partition. It reads committed data (or all, and then keeps
 * transactions as what they are) from a source offset on and appends it behind
 * the target's log end with a producer id, an epoch and running sequences, so
 * that a batch which is sent twice lands once. The copier keeps no state beyond
 * its life and takes no decision: whatever is not plain copying ends the flow
 * with a reason, and its owner starts it again from the positions told.
 *
 * Threads: one thread calls the functions below; the copier's own threads, the
 * workers, divide the flows and do the work; the owner sees one mailbox. All
 * that they share is mailboxes and budgets. Positions are always "next":
 * the next source offset to read, target offset to write, sequence to use. */
#ifndef TRANSHIP_MIRROR_H
#define TRANSHIP_MIRROR_H

#include <stddef.h>
#include <stdint.h>

#include "tranship/err.h"

typedef struct tsh_mirror tsh_mirror;

typedef struct tsh_mirror_options {
  size_t memory;        /* bytes of batches held at a time; 0: 64 MiB. One
                           batch may pass it when it is larger by itself */
  int64_t rate;         /* bytes fetched per second; 0: no limit */
  size_t workers;       /* threads; 0: one per core, but four at most */
  uint32_t progress_ms; /* progress is told this often at most; 0: 20 */
  uint32_t timeout_ms;  /* of requests; 0: 30 000 */
  /* Told when events wait, on a worker's thread: ring a bell, no more. */
  void (*rung)(void *user);
  void *user;
} tsh_mirror_options;

struct tsh_login;

typedef struct tsh_mirror_side {
  const char *host;
  uint16_t port;
  const char *topic;
  int32_t partition;
  struct tsh_login *login; /* kept; NULL: plain text */
} tsh_mirror_side;

/* A producer of the source whose transactions become transactions on the
 * target, under a transactional id that stands for it alone. `sequence` is that
 * of its next batch, `since` the target offset where its transaction began that
 * is open at the target's log end, or -1. */
typedef struct tsh_mirror_producer {
  int64_t source_id;
  const char *transactional_id;
  const char *host; /* of its coordinator */
  uint16_t port;
  int64_t id;
  int16_t epoch;
  int32_t sequence;
  int64_t since;
} tsh_mirror_producer;

/* What to copy; texts are copied. With target_offset < log_end the source is
 * first walked, counting committed records as if they had been produced,
 * until log_end is reached: their segments are told like any others. */
typedef struct tsh_mirror_flow {
  const char *id;
  tsh_mirror_side source, target;
  bool has_topic_id;
  uint8_t topic_id[16]; /* of the source: a topic made again is noticed */
  int32_t leader_epoch; /* the source leader's, or -1 */
  int32_t last_epoch;   /* of the last batch copied (source_epoch of the
                           last event): a cut log is noticed; or -1 */
  bool compacted;       /* the source: its cleaner may have left nothing up to
                           the log's end. Else an empty answer says nothing */
  bool same;            /* target offsets equal source offsets */
  bool transactions;    /* same: keep them, reading uncommitted data too */
  const tsh_mirror_producer *producers; /* copied; those known so far */
  size_t producer_count;
  int64_t source_offset;
  int64_t target_offset;
  int64_t log_end;      /* the target's, now */
  int64_t until_offset; /* source offset to stop before, or -1 */
  int64_t producer_id;  /* -1: none, and nothing guards against doubles */
  int16_t producer_epoch;
  int32_t sequence;       /* at target_offset */
  size_t max_batch_bytes; /* of the target topic: larger batches are divided;
                             0: not known, and nothing is merged */
} tsh_mirror_flow;

typedef enum tsh_mirror_reason {
  TSH_MIRROR_ASKED,         /* tsh_mirror_stop */
  TSH_MIRROR_REACHED,       /* until_offset */
  TSH_MIRROR_LEADER,        /* moved, gone, too slow: look and start again */
  TSH_MIRROR_OUT_OF_RANGE,  /* log_start, log_end of the source are set */
  TSH_MIRROR_TOPIC_ID,      /* the source topic is not the one meant */
  TSH_MIRROR_DIVERGED,      /* the source log was cut below our position */
  TSH_MIRROR_TRANSACTIONAL, /* same: such a batch is at source_offset, of a
                               `producer` that the flow does not know */
  TSH_MIRROR_FOREIGN,       /* expected, got: the target is not as counted */
  TSH_MIRROR_SEQUENCE,      /* read the log end and start again */
  TSH_MIRROR_FENCED,        /* a newer epoch writes this partition */
  TSH_MIRROR_TOO_LARGE,     /* `refused` is larger than the target takes */
  TSH_MIRROR_TIMESTAMP,     /* the target refuses the one of `refused` */
  TSH_MIRROR_CORRUPT,       /* source bytes do not hold */
  TSH_MIRROR_DENIED,
  TSH_MIRROR_FAILED /* anything else: see err */
} tsh_mirror_reason;

/* "leader", "out_of_range", ... */
const char *tsh_mirror_reason_name(tsh_mirror_reason reason);

typedef enum tsh_mirror_kind {
  TSH_MIRROR_PROGRESS,
  TSH_MIRROR_HOLE,   /* [from, to) holds no record; waits for resume */
  TSH_MIRROR_STOPPED /* no further event of this flow comes */
} tsh_mirror_kind;

/* Records source..source+count-1 lie at target..target+count-1. */
typedef struct tsh_mirror_segment {
  int64_t source;
  int64_t target;
  int64_t count;
} tsh_mirror_segment;

/* What the target refused: a batch of its source's first offset, or, with
 * `records` 1, that record. */
typedef struct tsh_mirror_refused {
  int64_t offset; /* on the source; -1: nothing was */
  int32_t records;
  size_t bytes; /* of the batch */
} tsh_mirror_refused;

/* Positions cover acknowledged (or walked) records only. A stop that was
 * asked for carries all progress of the flow that was not taken yet. */
typedef struct tsh_mirror_event {
  struct tsh_mirror_event *next;
  tsh_mirror_kind kind;
  char *id;
  int64_t source_offset;
  int64_t target_offset;
  int32_t sequence;
  int32_t source_epoch;  /* leader epoch of the last batch, or -1 */
  int64_t source_end;    /* of what can be read, when last read, or -1 */
  int64_t stable_offset; /* of the target: below it nothing is open */
  int64_t records;       /* appended since the last event, walked excluded */
  int64_t bytes;
  tsh_mirror_segment *segments;
  size_t segment_count;
  size_t segment_capacity;
  int64_t from, to;           /* HOLE */
  bool answer;                /* to a stop */
  tsh_mirror_reason reason;   /* STOPPED, and what belongs to it */
  tsh_err err;                /* kind TSH_OK when the reason says it all */
  int64_t log_start, log_end; /* -1 when not known */
  int64_t expected, got;
  tsh_mirror_refused refused;
  int64_t producer;
  int32_t diverging_epoch;
} tsh_mirror_event;

int tsh_mirror_open(tsh_mirror **out, const tsh_mirror_options *options,
                    tsh_err *err);
/* Ends all flows where they are and joins the thread: may block for as long
 * as one callback runs, not for the network. Events not taken are dropped. */
void tsh_mirror_close(tsh_mirror *mirror);

typedef struct tsh_mirror_usage {
  size_t memory; /* bytes of batches held, or promised to fetches */
  size_t memory_limit;
  size_t connections;
  uint64_t throttled_ms; /* that brokers let connections wait, so far */
} tsh_mirror_usage;

/* What it takes at the moment. */
tsh_mirror_usage tsh_mirror_use(const tsh_mirror *mirror);

/* After it `rung` is not called any more. */
void tsh_mirror_mute(tsh_mirror *mirror);

/* Commands. They return at once; TSH_NO_MEMORY is the only failure. A start
 * with an id that runs, and a stop of one that does not, are answered by
 * STOPPED with FAILED and an err of TSH_EXISTS or TSH_NOT_FOUND. */
int tsh_mirror_start(tsh_mirror *mirror, const tsh_mirror_flow *flow,
                     tsh_err *err);
/* In-flight requests are answered first; then the answer, a STOPPED, can be
 * had from tsh_mirror_take_stopped: with ASKED, or with the reason for which
 * the flow had stopped already. */
int tsh_mirror_stop(tsh_mirror *mirror, const char *id, tsh_err *err);

typedef struct tsh_mirror_resume {
  const char *id;
  int64_t target_offset;  /* the end of the hole */
  int32_t producer_epoch; /* -1: as before */
  int32_t sequence;       /* -1: as before */
} tsh_mirror_resume;
/* Of a flow that is not in a hole: ignored. */
int tsh_mirror_go_on(tsh_mirror *mirror, const tsh_mirror_resume *resume,
                     tsh_err *err);

/* Takes all events that wait, oldest first, but answers to stops; or NULL. */
tsh_mirror_event *tsh_mirror_take(tsh_mirror *mirror);
/* Takes the answer to a stop, if it is there. */
tsh_mirror_event *tsh_mirror_take_stopped(tsh_mirror *mirror, const char *id);
void tsh_mirror_event_free(tsh_mirror_event *event);

#endif
