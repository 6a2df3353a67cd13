/* Kafka: clients, readers and producers.
 *
 * A handle never waits to be opened: the first call connects. Calls are the
 * primitives of one table; each is classed there as reading or writing, and a
 * handle opened read-only refuses those that write, whatever a script does.
 * Read-only handles and readers have no consumer group, commit nothing and
 * create no topics.
 *
 * Everything here is called on the thread of the handle's loop, except
 * tsh_kafka_destroy, which blocks and belongs on the thread pool. Errors have
 * the origin "kafka"; `code` is Kafka's error code, or librdkafka's own where
 * it is negative. Offsets and timestamps are int64; times are milliseconds. */
#ifndef TRANSHIP_KAFKA_H
#define TRANSHIP_KAFKA_H

#include "tranship/data.h"
#include "tranship/loop.h"

typedef struct tsh_kafka tsh_kafka;

typedef enum tsh_kafka_role {
  TSH_KAFKA_CLIENT,
  TSH_KAFKA_READER,
  TSH_KAFKA_PRODUCER
} tsh_kafka_role;

/* What a handle may send. */
typedef enum tsh_kafka_mode {
  TSH_KAFKA_MAY_WRITE,
  TSH_KAFKA_READ_ONLY,
  TSH_KAFKA_VALIDATES /* reads, and asks whether a write would be accepted */
} tsh_kafka_mode;

/* Texts are copied. What is NULL is not set. */
typedef struct tsh_kafka_setup {
  const char *bootstrap; /* host:port, comma separated */
  const char *name;      /* shown to brokers as client id */
  const char *protocol;  /* plaintext, ssl, sasl_plaintext, sasl_ssl */
  const char *mechanism; /* PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER */
  const char *user;
  const char *password;
  const char *ca; /* PEM text, as are cert and key */
  const char *cert;
  const char *key;
  const char *key_password;
  char *const *token_command; /* OAUTHBEARER: prints a token; NULL at the end */
  const tsh_data *settings;   /* librdkafka settings from the allow-list */
  tsh_kafka_mode mode;
  int timeout_ms; /* of each call; 0 = 10000 */
} tsh_kafka_setup;

/* TSH_INVALID names the setting that cannot be meant. */
int tsh_kafka_open(tsh_kafka **out, tsh_loop *loop,
                   const tsh_kafka_setup *setup, tsh_err *err);

/* A reader or producer with the login of `client`, independent afterwards.
 * reader: { partitions = {{topic, partition, from, to?}}, isolation, settings }
 *   `from` is an offset, "start" or "end"; `to` is exclusive.
 * producer: { transactional_id?, settings } */
int tsh_kafka_open_role(tsh_kafka **out, const tsh_kafka *client,
                        tsh_kafka_role role, const tsh_data *args,
                        tsh_err *err);

/* Calls under way end with TSH_CLOSED; the handle is not called again. */
void tsh_kafka_close(tsh_kafka *kafka);
/* Second half of closing: joins librdkafka's threads. */
void tsh_kafka_destroy(void *kafka);

tsh_kafka_role tsh_kafka_role_of(const tsh_kafka *kafka);
tsh_kafka_mode tsh_kafka_mode_of(const tsh_kafka *kafka);

/* The primitives. */
typedef struct tsh_kafka_primitive tsh_kafka_primitive;
const tsh_kafka_primitive *tsh_kafka_primitives(size_t *count);
const tsh_kafka_primitive *tsh_kafka_primitive_at(size_t index);
const char *tsh_kafka_primitive_name(const tsh_kafka_primitive *primitive);
tsh_kafka_role tsh_kafka_primitive_role(const tsh_kafka_primitive *primitive);
bool tsh_kafka_primitive_writes(const tsh_kafka_primitive *primitive);

/* A call under way. `result` is set when op.status is 0. */
typedef struct tsh_kafka_req {
  tsh_op op;
  const tsh_data *result;
} tsh_kafka_req;

/* Starts a primitive. `args` is the sequence of its arguments, made in `pool`;
 * the call owns the pool from here on, also when it fails. */
int tsh_kafka_call(tsh_kafka *kafka, const tsh_kafka_primitive *primitive,
                   tsh_pool *pool, const tsh_data *args, tsh_kafka_req **out,
                   tsh_err *err);

#endif
