/* Kafka's messages: one table of fields, and fast paths for Fetch, Produce.
 *
 * Pure functions over memory: nothing here waits, keeps state or shares it
 * between threads. Encoders give a request body for tsh_conn_send (without
 * request header) in one block from malloc, freed by the caller after the
 * reply. Decoders never read past `size`, never copy, and fail with
 * TSH_PROTOCOL; what they point to lives as long as the reply's body. */
#ifndef TRANSHIP_PROTO_H
#define TRANSHIP_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "tranship/err.h"

typedef struct tsh_text { /* bytes of a message; data NULL means null */
  const char *data;
  size_t size;
} tsh_text;

/* --- the table ---------------------------------------------------------- */

typedef enum tsh_field_type {
  TSH_F_BOOL,
  TSH_F_I8,
  TSH_F_I16,
  TSH_F_I32,
  TSH_F_I64,
  TSH_F_F64,
  TSH_F_UUID,  /* 16 bytes */
  TSH_F_TEXT,  /* string */
  TSH_F_BYTES, /* bytes and records */
  TSH_F_STRUCT
} tsh_field_type;

typedef struct tsh_field {
  const char *name;   /* Kafka's own; NULL ends a list of fields */
  uint8_t type;       /* tsh_field_type */
  bool list;          /* a list of that type */
  bool never;         /* always written as its preset */
  int8_t since, gone; /* first version with it, first without (0: none) */
  int8_t null_from;   /* first version that allows null, plus 1; 0: none */
  int8_t tag;         /* tag plus 1, 0: not tagged ... */
  int8_t tag_from;    /* ... from this version on */
  int64_t preset;     /* written when absent; nullable fields: null */
  const struct tsh_field *fields; /* of a struct */
} tsh_field;

typedef struct tsh_message {
  const char *name; /* "DescribeProducers" */
  int16_t api_key;
  int16_t min, max; /* versions this table describes */
  int16_t flexible; /* first version with compact and tagged fields */
  int16_t version;  /* used unless asked otherwise */
  bool writes;      /* class: changes the cluster or its logs */
  const tsh_field *request, *response;
} tsh_message;

const tsh_message *tsh_message_find(const char *name); /* or NULL */
const tsh_message *tsh_message_of(int16_t api_key);    /* or NULL */
const tsh_message *tsh_message_at(size_t index);       /* or NULL: the end */
/* "NOT_LEADER_OR_FOLLOWER", ...; NULL for a code not known here. */
const char *tsh_kafka_error_name(int code);
/* The kind a Kafka error code stands for, and whether it may pass. */
tsh_kind tsh_kafka_error_kind(int code, bool *retriable);

typedef struct tsh_value {
  bool null;
  int64_t integer; /* bool and integers */
  double real;
  tsh_text bytes; /* text, bytes, uuid */
} tsh_value;

/* Told what a message holds, in its order; any of its functions may be NULL.
 * Fields that a version does not have are not mentioned; absent tagged fields
 * neither. */
typedef struct tsh_visitor {
  void *user;
  /* A list with `count` items (-1: null) begins and ends. */
  void (*list)(void *user, const tsh_field *field, int64_t count);
  void (*list_end)(void *user, const tsh_field *field);
  /* A struct begins and ends; `field` NULL for the message itself. */
  void (*open)(void *user, const tsh_field *field);
  void (*open_end)(void *user, const tsh_field *field);
  /* A null struct, or a value; inside a list it is the next item. */
  void (*value)(void *user, const tsh_field *field, const tsh_value *value);
} tsh_visitor;

int tsh_message_decode(const tsh_message *msg, bool response, int16_t version,
                       const void *data, size_t size,
                       const tsh_visitor *visitor, tsh_err *err);

/* Asked for what a message shall hold, in its order. */
typedef struct tsh_source {
  void *user;
  /* Enters field or, inside a list, item `index` (from 0; -1 outside). For a
   * list sets *count. 1 = there, 0 = absent (preset is written), negative =
   * the kind, with err filled. `enter` that gave 1 is followed by `leave`. */
  int (*enter)(void *user, const tsh_field *field, int64_t index,
               int64_t *count, tsh_err *err);
  void (*leave)(void *user, const tsh_field *field);
  /* A plain value, same results. */
  int (*value)(void *user, const tsh_field *field, int64_t index,
               tsh_value *out, tsh_err *err);
} tsh_source;

/* Walks the source twice: to count and check, then to write; it must answer
 * the same both times. `out` is the caller's to free in any case. */
int tsh_message_encode(const tsh_message *msg, bool response, int16_t version,
                       const tsh_source *source, struct iovec *out,
                       tsh_err *err);

/* How long the broker lets this connection wait, in ms: what a response says
 * of it at its beginning or, Produce, at its end. 0 where it says nothing. */
uint32_t tsh_throttle_of(int16_t api_key, int16_t version, const uint8_t *data,
                         size_t size);

/* --- Fetch (versions 11, 12; 13 with topic ids) -------------------------- */

#define TSH_API_PRODUCE 0
#define TSH_API_FETCH 1

typedef struct tsh_fetch_limits {
  int32_t max_wait_ms, min_bytes, max_bytes;
  bool committed; /* isolation level read_committed */
  /* NULL: a full fetch. Else the broker keeps the wants of a session and
   * answers only for those that have news (KIP-227). */
  const struct tsh_fetch_session *session;
} tsh_fetch_limits;

typedef struct tsh_fetch_want {
  tsh_text topic;       /* up to version 12 */
  uint8_t topic_id[16]; /* from version 13 */
  int32_t partition;
  int32_t leader_epoch; /* current, or -1 */
  int32_t last_epoch;   /* of the last fetched record, or -1; from 12 */
  int64_t offset;
  int32_t max_bytes;
} tsh_fetch_want;

/* Id 0 and epoch 0 begin a session, with all that it wants; later requests
 * count epochs and tell wants that are new or changed, and those that go. */
typedef struct tsh_fetch_session {
  int32_t id, epoch;
  const tsh_fetch_want *forgotten; /* topic and partition of each */
  size_t forgotten_count;
} tsh_fetch_session;

/* Neighbours of one topic share its entry. */
int tsh_fetch_encode(int16_t version, const tsh_fetch_limits *limits,
                     const tsh_fetch_want *wants, size_t count,
                     struct iovec *out, tsh_err *err);

typedef struct tsh_fetched {
  tsh_text topic;          /* up to version 12 */
  const uint8_t *topic_id; /* from version 13 */
  int32_t partition;
  int16_t error; /* Kafka's code; 0 = none */
  int64_t high_watermark, last_stable, log_start;
  int32_t diverging_epoch; /* -1: none (version 12: the log was truncated) */
  int64_t diverging_end;
  int32_t leader_id, leader_epoch;      /* -1 unless told beside an error */
  const uint8_t *aborted, *aborted_end; /* see tsh_fetched_aborted */
  int32_t aborted_count;
  bool compact;     /* private */
  uint8_t *records; /* whole batches, the last one maybe cut off */
  size_t records_size;
} tsh_fetched;

/* Where a reader of an answer's topics and their partitions stands. */
typedef struct tsh_topic_walk { /* private */
  const uint8_t *at, *end;
  int64_t topics, parts;
  tsh_text topic;
  const uint8_t *topic_id;
  int32_t session; /* of a Fetch: 0 = the broker keeps none */
  bool compact, with_ids;
} tsh_topic_walk;
typedef tsh_topic_walk tsh_fetch_iter;

/* Reads the answer's head; error is the whole request's Kafka code. */
int tsh_fetch_open(tsh_fetch_iter *iter, int16_t version, uint8_t *data,
                   size_t size, int16_t *error, tsh_err *err);
/* 1 and the next partition, 0 at the end, or negative. */
int tsh_fetch_next(tsh_fetch_iter *iter, tsh_fetched *out, tsh_err *err);
/* Takes the next aborted transaction off `fetched`; false at the end. */
bool tsh_fetched_aborted(tsh_fetched *fetched, int64_t *producer_id,
                         int64_t *first_offset);

/* --- Produce (versions 8 to 12; 13 with topic ids) ----------------------- */

typedef struct tsh_produce_item { /* one batch; one item per partition */
  tsh_text topic;                 /* up to version 12 */
  uint8_t topic_id[16];           /* from version 13 */
  int32_t partition;
  struct iovec head, body; /* the batch in one or two pieces; not copied */
} tsh_produce_item;

/* The request as a scatter list over one block and the items' own memory. */
typedef struct tsh_gather {
  struct iovec *parts;
  int count;
  size_t size; /* bytes in all parts */
  void *block; /* private */
} tsh_gather;

/* acks=all. Neighbours of one topic share its entry. */
int tsh_produce_encode(int16_t version, const char *transactional_id,
                       int32_t timeout_ms, const tsh_produce_item *items,
                       size_t count, tsh_gather *out, tsh_err *err);
void tsh_gather_free(tsh_gather *gather);

typedef struct tsh_produced {
  tsh_text topic;          /* up to version 12 */
  const uint8_t *topic_id; /* from version 13 */
  int32_t partition;
  int16_t error;
  int64_t base_offset; /* -1 with an error */
  int64_t append_time; /* ms, -1 for CreateTime topics */
  int64_t log_start;
  int32_t bad_record; /* index of the first refused record, or -1 */
  tsh_text text;      /* the broker's words, or null */
  int32_t leader_id, leader_epoch; /* -1 unless told beside an error (10) */
} tsh_produced;

typedef tsh_topic_walk tsh_produce_iter;

int tsh_produce_open(tsh_produce_iter *iter, int16_t version, const void *data,
                     size_t size, tsh_err *err);
/* 1 and the next partition, 0 at the end, or negative. */
int tsh_produce_next(tsh_produce_iter *iter, tsh_produced *out, tsh_err *err);

/* --- transactions (AddPartitionsToTxn 2, EndTxn 5), ends (ListOffsets 4) -- */

#define TSH_API_LIST_OFFSETS 2
#define TSH_API_ADD_PARTITIONS_TO_TXN 24
#define TSH_API_END_TXN 26

typedef struct tsh_txn_call {
  const char *transactional_id;
  int64_t producer_id;
  int16_t producer_epoch;
  tsh_text topic;    /* to begin with */
  int32_t partition; /* as well */
  bool commit;       /* to end with */
} tsh_txn_call;

typedef struct tsh_txn_ended {
  int16_t error;
  int64_t producer_id; /* of the next transaction */
  int16_t producer_epoch;
} tsh_txn_ended;

typedef struct tsh_log_end {
  tsh_text topic;
  int32_t partition;
  int16_t error;  /* of an answer */
  int64_t offset; /* of an answer */
} tsh_log_end;

int tsh_txn_begin_encode(const tsh_txn_call *call, struct iovec *body,
                         tsh_err *err);
int tsh_txn_begin_decode(const void *data, size_t size, int16_t *error,
                         tsh_err *err);
int tsh_txn_end_encode(const tsh_txn_call *call, struct iovec *body,
                       tsh_err *err);
int tsh_txn_end_decode(const void *data, size_t size, tsh_txn_ended *out,
                       tsh_err *err);
/* Where logs end, records that no one can read yet included. */
int tsh_log_ends_encode(const tsh_log_end *wants, size_t count,
                        struct iovec *body, tsh_err *err);
int tsh_log_ends_open(tsh_topic_walk *iter, const void *data, size_t size,
                      tsh_err *err);
/* 1 and the next partition, 0 at the end, or negative. */
int tsh_log_ends_next(tsh_topic_walk *iter, tsh_log_end *out, tsh_err *err);

#endif
