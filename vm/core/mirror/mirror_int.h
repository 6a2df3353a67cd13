/* Inside the copier: flows, what they hold, and the links they share.
 *
 *   commands -> engine.c: the workers and what they are told; routes.c: which
 *   of them has which flow; flow.c: the flows
 *   link.c: brokers, and connections to them
 *   reader.c: which flows are fetched when, on which connection
 *   watch.c: quiet flows, watched in a fetch session
 *   rate.c: how much may be fetched per second
 *   intake.c: a flow's piece of a Fetch reply -> entries
 *   merge.c: small neighbours in a flow's queue -> one entry
 *   writer.c: entries -> Produce requests, several flows in each
 *   txn.c: transactions kept as such; aside.c: the small requests they need
 *   progress.c: acknowledged -> events -> the owner's mailbox
 *
 * An entry is one batch on its way, or a hole that the owner must fill, or the
 * end of a transaction. A batch points into the Fetch reply it came in, which a
 * chunk keeps and counts against the memory budget, or owns bytes that were
 * rebuilt or merged.
 *
 * A copier is a few equal workers, each a tsh_mirror with a thread, a loop,
 * flows and links of its own; the owner's handle is the first of them. */
#ifndef TRANSHIP_MIRROR_INT_H
#define TRANSHIP_MIRROR_INT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/queue.h>

#include "tranship/batch.h"
#include "tranship/login.h"
#include "tranship/loop.h"
#include "tranship/mirror.h"
#include "tranship/proto.h"
#include "tranship/wire.h"

enum {
  BEHIND_LANES = 2, /* connections that fetch what is known to be there */
  IDLE_LANES = 3,   /* connections that wait for what is to come */
  LANES = BEHIND_LANES + IDLE_LANES,
  SENDERS = 3, /* connections that produce */
  MOST_WORKERS = 16,
  IN_FLIGHT = 5 /* requests per sender, and so batches per partition: a
                   broker recognises the last five of a producer */
};

typedef struct flow flow;
typedef struct source source;
typedef struct target target;
typedef struct sender sender;
typedef struct aside aside;
typedef struct txn txn;
TAILQ_HEAD(flow_list, flow);

/* A Fetch reply that entries point into. */
typedef struct chunk {
  tsh_mirror *mirror;
  tsh_body *body;
  size_t size;
  size_t refs;
} chunk;

/* Source offsets of a batch's records, in order. */
typedef struct run {
  int64_t source;
  int64_t count;
} run;

typedef struct entry {
  struct entry *next;
  chunk *chunk;   /* holds `bytes`; NULL: they are the entry's own */
  uint8_t *bytes; /* NULL: a hole or, with `txn`, its end */
  size_t size;
  int64_t target;      /* where it must land */
  int64_t source_next; /* the source position once it has landed */
  int32_t count;       /* records */
  int32_t epoch;       /* leader epoch it was written in */
  run *runs;           /* of a batch that had gaps; NULL: just `first` */
  size_t run_count;
  run first;
  txn *txn;    /* that it is part of; NULL: none */
  bool commit; /* of an end */
} entry;

struct flow {
  flow *hash_next;
  tsh_mirror *mirror;
  tsh_mirror_flow spec; /* with texts of its own */

  /* Reading. */
  source *source;
  TAILQ_ENTRY(flow) fetching; /* in a list of its source ... */
  bool listed;                /* ... if this says so */
  flow **slot;                /* its place in the fetch in flight, or NULL */
  bool caught_up;             /* position is the last stable offset */
  int64_t position;           /* next source offset to read */
  int64_t source_end;
  int32_t epoch_read;
  size_t held; /* bytes of entries */

  /* Watching. */
  enum { AWAKE, DROWSY, WATCHED } wakefulness;
  TAILQ_ENTRY(flow) watching; /* among the drowsy, or the untold */
  bool untold;                /* watched, and the broker does not know yet */
  flow *member_next;
  uint64_t moved_ms; /* loop time of the last news */

  /* Writing. */
  sender *sender;
  TAILQ_ENTRY(flow) sending; /* in the list of its sender ... */
  bool ready;                /* ... if this says so */
  entry *head, *tail;        /* not sent yet */
  entry *last; /* the newest entry, sent or not; NULL: none pending */
  int in_flight;
  int64_t next_target; /* of the next record read */
  int32_t sequence;    /* of the next batch sent */
  int16_t producer_epoch;
  bool in_hole; /* told, and waiting to go on */
  bool known;   /* the broker has taken a batch of our producer */

  /* Transactions. */
  txn *txns;
  aside *leader;        /* of the target; NULL: they are not kept */
  txn *reading_as;      /* of the batch that is taken in */
  bool reading_txn;     /* it belongs to a transaction */
  txn *sending_as;      /* of what is in flight */
  entry *ending;        /* ends in flight ... */
  size_t unanswered;    /* ... and those that wait for their coordinator */
  int64_t awaited;      /* target log end once they have landed ... */
  uint64_t await_until; /* ... and when that is given up, ms */
  TAILQ_ENTRY(flow) awaiting; /* in the list of `leader` ... */
  bool awaits;                /* ... if this says so: markers are to land */

  /* Acknowledged. */
  int64_t acked_source, acked_target;
  int32_t acked_sequence, acked_epoch;

  /* Telling. */
  TAILQ_ENTRY(flow) telling;   /* in the mirror's list ... */
  bool dirty;                  /* ... if this says so */
  tsh_mirror_event *report;    /* not published yet */
  tsh_mirror_event *published; /* while `generation` is the mailbox's */
  uint64_t generation;

  /* Ending. */
  tsh_mirror_event *stop; /* set once it ends: reason and all */
  bool drain;             /* send what is queued first */
  bool broken;            /* a batch was refused: later ones mean nothing */
  int asking;             /* questions in flight */
};

/* What bytes of the budget are promised to: a fetch of what is known to be
 * there, one that waits for what is to come, the watch over quiet flows. */
typedef enum promise { TO_BEHIND, TO_IDLE, TO_WATCH, PROMISES } promise;

/* A broker that is read from, in one version of Fetch and isolation level. */
typedef struct lane {
  source *source;
  tsh_conn *conn;
  bool busy;
} lane;

/* A fetch session with the flows that are quiet. */
typedef struct watch {
  lane lane;
  int32_t session, epoch; /* 0 and 0: to begin */
  flow **table;           /* members by topic and partition */
  size_t table_size, count;
  struct flow_list drowsy; /* that shall become members */
  struct flow_list untold; /* members that the next request tells */
  size_t untold_count;
  tsh_fetch_want *forgotten; /* that it takes back; topics are owned */
  size_t forgotten_count, forgotten_capacity;
  struct iovec body; /* of the request in flight ... */
  size_t promised;   /* ... and its bytes of the budget */
} watch;

struct source {
  source *next;
  tsh_mirror *mirror;
  char *host;
  uint16_t port;
  tsh_login *login; /* or NULL */
  int16_t version;
  bool committed;
  size_t flows;
  struct flow_list behind, idle;
  lane lanes[LANES]; /* those for behind first */
  watch watch;
};

/* A broker that is written to. */
struct sender {
  target *target;
  tsh_conn *conn;
  int in_flight;
  size_t flows;
  struct flow_list ready;
};

struct target {
  target *next;
  tsh_mirror *mirror;
  char *host;
  uint16_t port;
  tsh_login *login; /* or NULL */
  size_t flows;
  sender senders[SENDERS];
};

typedef struct route route;

/* rate.c: bytes per second that fetches may bring. */
typedef struct token_bucket {
  int64_t rate;      /* 0: no limit */
  int64_t bytes;     /* to be spent; below zero: a debt */
  int64_t filled_us; /* when */
} token_bucket;

/* What the workers share with each other and with the owner. */
typedef struct shared {
  size_t memory;
  atomic_size_t held; /* by all workers together */
  tsh_conn_meter meter;
  size_t worker_count;
  tsh_mirror *workers[MOST_WORKERS];

  pthread_mutex_t lock; /* of what follows, and of all commands */
  void (*rung)(void *user);
  void *user;
  token_bucket bucket;
  route **routes;
  size_t route_size, route_count;
  tsh_mirror_event *events, **events_end;
  uint64_t generation; /* counts takes: older events are gone */
} shared;
/* A source producer's transactions, as the target has them. */
struct txn {
  txn *next;
  flow *flow;
  aside *coordinator;
  char *name; /* transactional id */
  int64_t source_id;
  int64_t id;
  int16_t epoch;
  int32_t sequence; /* of the next batch sent */
  bool reading;     /* open at the place we read */
  bool begun;       /* the coordinator knows of the open one */
  bool asking;      /* it is being told */
  bool known;       /* the leader has taken a batch of the open one */
  bool owes;        /* its end was read, and has no place yet ... */
  bool commit;      /* ... which it has then */
  int64_t since;    /* first offset of the open one that has landed, or -1 */
  size_t waiting;   /* batches queued */
  size_t ends;      /* queued or in flight */
  tsh_timer *again; /* a refused request is to be repeated */
  entry *end;       /* in flight, not answered yet */
};

struct tsh_mirror {
  shared *shared;
  uint32_t progress_ms, timeout_ms;
  tsh_loop *loop;
  pthread_t thread;

  /* The worker's thread alone. */
  flow **table;
  size_t table_size, flow_count;
  source *sources;
  target *targets;
  aside *asides;
  size_t held;               /* bytes promised to fetches or kept */
  size_t promised[PROMISES]; /* of those, by what was promised them */
  struct flow_list dirty;
  tsh_timer *progress;
  tsh_timer *pause; /* of fetching, while the rate is used up; or NULL */
  tsh_aborted aborted;
  tsh_records records;
  tsh_legacy legacy;
  tsh_builder builder;
  bool closing;

  /* With the lock. */
  tsh_bell *bell;
  struct command *commands, **commands_end;
  size_t routed; /* flows, here or on their way */
};

/* Sequences wrap from 2^31 - 1 to 0. */
static inline int32_t tsh_mirror__sequence_after(int32_t sequence,
                                                 int64_t count) {
  return (int32_t)((sequence + count) & INT32_MAX);
}

/* routes.c, with the lock held. Without a route the first worker answers; no
 * memory for one is NULL. */
tsh_mirror *tsh_mirror__route(shared *shared, const char *id);
tsh_mirror *tsh_mirror__route_new(shared *shared, const char *id);
void tsh_mirror__route_end(shared *shared, const char *id);
void tsh_mirror__routes_free(shared *shared);

/* flow.c: the life of one flow. */
size_t tsh_mirror__hash(const char *id);
flow *tsh_mirror__find(tsh_mirror *mirror, const char *id);
int tsh_mirror__flow_new(tsh_mirror *mirror, const tsh_mirror_flow *spec,
                         flow **out, tsh_err *err);
/* Leaves the table and links; drops entries. */
void tsh_mirror__flow_drop(flow *flow);
/* Begins to end it, unless it ends already. With `drain` what is queued is
 * sent first. Returns the STOPPED to be, to fill in more, or NULL. */
tsh_mirror_event *tsh_mirror__end(flow *flow, tsh_mirror_reason reason,
                                  bool drain, const tsh_err *why);
/* What is queued cannot be sent: also overrides a draining end. */
tsh_mirror_event *tsh_mirror__give_up(flow *flow, tsh_mirror_reason reason,
                                      const tsh_err *why);
/* Tells and drops the flow if nothing is left to wait for: then true. */
bool tsh_mirror__settle(flow *flow);
tsh_mirror_reason tsh_mirror__reason_of(int code);
/* What a broker answered about the target partition, in words. */
void tsh_mirror__refusal(tsh_err *err, const flow *flow, int code,
                         const char *what);

/* entry.c */
entry *tsh_mirror__entry_new(flow *flow, chunk *chunk, uint8_t *bytes,
                             size_t size);
void tsh_mirror__entry_free(flow *flow, entry *entry);
/* Replaces its bytes by malloc'd ones of its own. */
void tsh_mirror__entry_own(flow *flow, entry *entry, uint8_t *bytes,
                           size_t size);
void tsh_mirror__drop_queue(flow *flow);
chunk *tsh_mirror__chunk_new(tsh_mirror *mirror, tsh_body *body, size_t size);
void tsh_mirror__chunk_release(chunk *chunk);
void tsh_mirror__hold(tsh_mirror *mirror, size_t bytes);
void tsh_mirror__give_back(tsh_mirror *mirror, size_t bytes);

/* intake.c: `first` says that the flow was first in its fetch. May end it. */
void tsh_mirror__intake(flow *flow, chunk *chunk, tsh_fetched *fetched,
                        bool first);

/* link.c: joining may fail for want of memory. */
source *tsh_mirror__source_join(tsh_mirror *mirror, const tsh_mirror_side *side,
                                int16_t version, bool committed);
void tsh_mirror__source_leave(source *source);
sender *tsh_mirror__sender_join(tsh_mirror *mirror,
                                const tsh_mirror_side *side);
void tsh_mirror__sender_leave(sender *sender);
/* An open or opening connection, or NULL. */
tsh_conn *tsh_mirror__lane_conn(lane *lane, tsh_err *err);
tsh_conn *tsh_mirror__sender_conn(sender *sender, tsh_err *err);
tsh_conn *tsh_mirror__conn(tsh_mirror *mirror, tsh_conn **kept,
                           const tsh_conn_options *to, tsh_err *err);
void tsh_mirror__shut(tsh_conn **kept);
void tsh_mirror__sweep_links(tsh_mirror *mirror); /* those without flows */
void tsh_mirror__shut_links(tsh_mirror *mirror);  /* all connections */

/* reader.c */
/* Lists the flow to be fetched, if it may be. */
void tsh_mirror__want_fetch(flow *flow, bool at_once);
void tsh_mirror__no_fetch(flow *flow);
void tsh_mirror__detach(flow *flow); /* from its list or fetch, not the watch */
/* Bytes that a fetch may bring, counted as held; 0: none now. */
size_t tsh_mirror__promise(tsh_mirror *mirror, size_t wanted, promise to);
void tsh_mirror__take_back(tsh_mirror *mirror, size_t promised, promise to);
tsh_fetch_limits tsh_mirror__limits(const source *source, int32_t wait_ms,
                                    size_t bytes);
tsh_fetch_want tsh_mirror__want_of(const flow *flow);
int tsh_mirror__fetch_error(int16_t error, tsh_err *err);
/* The flow's piece of a reply; it is asked for again, or ends. */
void tsh_mirror__serve(flow *flow, lane *lane, chunk *chunk,
                       tsh_fetched *fetched, bool first);
void tsh_mirror__pump_source(source *source);
void tsh_mirror__pump_sources(tsh_mirror *mirror);

/* watch.c */
void tsh_mirror__watch_init(source *source);
void tsh_mirror__watch_fini(source *source);
void tsh_mirror__drowse(flow *flow); /* nothing came for it */
void tsh_mirror__wake(flow *flow);
void tsh_mirror__pump_watch(source *source);

/* rate.c. Bytes that may be asked for now; 0: none before `wait_ms`. */
void tsh_bucket_init(token_bucket *bucket, int64_t rate, int64_t now_us);
size_t tsh_bucket_allows(token_bucket *bucket, int64_t now_us,
                         uint64_t *wait_ms);
void tsh_bucket_spend(token_bucket *bucket, size_t bytes);
/* The same for a worker: 0 bytes, and it pumps again when there are some. */
void tsh_mirror__limit_rate(shared *shared, int64_t rate);
size_t tsh_mirror__allowed(tsh_mirror *mirror);
void tsh_mirror__fetched(tsh_mirror *mirror, size_t bytes);
void tsh_mirror__rate_stop(tsh_mirror *mirror);
/* aside.c: connections for small requests to a target broker, never behind a
 * batch. */
aside *tsh_mirror__aside_join(tsh_mirror *mirror, const char *host,
                              uint16_t port, tsh_login *login);
void tsh_mirror__aside_leave(aside *aside);
/* Those with the same `lane` are answered in order. */
int tsh_mirror__aside_send(aside *aside, size_t lane, const tsh_request *req,
                           tsh_err *err);
/* Watches the flow's log end until its markers have landed, then calls
 * tsh_mirror__ends_landed with it, or with -1 and why it is not known. */
void tsh_mirror__await_end(flow *flow);
void tsh_mirror__await_none(flow *flow);
void tsh_mirror__sweep_asides(tsh_mirror *mirror);
void tsh_mirror__shut_asides(tsh_mirror *mirror);

/* txn.c */
bool tsh_mirror__txns_new(flow *flow, const tsh_mirror_flow *spec);
void tsh_mirror__txns_free(flow *flow);
void tsh_mirror__txns_cut(flow *flow); /* forgets what waits for a time */
/* Where a batch belongs: 0 = it holds data, 1 = it does not, negative = the
 * flow ends. */
int tsh_mirror__txn_take(flow *flow, const tsh_batch *batch);
void tsh_mirror__txn_queued(entry *entry); /* a batch of a transaction */
void tsh_mirror__send_ends(flow *flow);    /* at the head of the queue */
void tsh_mirror__ends_landed(flow *flow, int64_t log_end, const tsh_err *why);
int64_t tsh_mirror__stable(const flow *flow);
bool tsh_mirror__producers_copy(tsh_mirror_flow *to,
                                const tsh_mirror_flow *from);
void tsh_mirror__producers_free(tsh_mirror_flow *spec);

/* intake.c */
void tsh_mirror__enqueue(flow *flow, entry *added);
int tsh_mirror__reach(flow *flow, int64_t to);
int tsh_mirror__no_memory(flow *flow);

/* bounds.c: log start and end, into the flow's STOPPED. */
void tsh_mirror__ask_bounds(flow *flow, tsh_conn *conn);

/* merge.c: the first entries of the flow's queue, where that helps. */
void tsh_mirror__merge(flow *flow);

/* writer.c */
void tsh_mirror__want_send(flow *flow);
void tsh_mirror__no_send(flow *flow);
void tsh_mirror__pump_senders(tsh_mirror *mirror);
void tsh_mirror__go_on(flow *flow, int64_t target_offset, int32_t epoch,
                       int32_t sequence);

/* progress.c */
void tsh_mirror__touch(flow *flow); /* something is to be told */
/* Counts records as being on the target; TSH_NO_MEMORY leaves all as it was. */
int tsh_mirror__add_segment(flow *flow, int64_t source, int64_t target,
                            int64_t count, tsh_err *err);
void tsh_mirror__publish(flow *flow);
void tsh_mirror__post(tsh_mirror *mirror, tsh_mirror_event *event);
/* The last event of a flow; an answer takes its other events in. */
void tsh_mirror__tell_stop(flow *flow, tsh_mirror_event *stop);
/* To a stop of a flow that is gone: its own stop, or that there is none. */
void tsh_mirror__answer_unknown(tsh_mirror *mirror, const char *id);
tsh_mirror_event *tsh_mirror__event_new(tsh_mirror_kind kind, const char *id);
void tsh_mirror__progress_stop(tsh_mirror *mirror);

#endif
