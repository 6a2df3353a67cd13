/* Kafka room, private: the handle, a call under way, and the table's rows. */
#ifndef TRANSHIP_KAFKA_INT_H
#define TRANSHIP_KAFKA_INT_H

#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tranship/kafka.h"

typedef struct kafka_req kafka_req;
typedef struct kafka_reader kafka_reader;

/* What every role has: a librdkafka instance whose one queue rings the bell. */
struct tsh_kafka {
  tsh_kafka_role role;
  tsh_loop *loop;
  tsh_bell *bell;
  rd_kafka_conf_t *conf; /* client: the template of readers and producers */
  rd_kafka_t *rk;
  rd_kafka_queue_t *queue;
  struct tsh_login *login; /* gives tokens; NULL: another login */
  atomic_bool leaving;     /* a token comes too late */
  tsh_kafka_mode mode;
  bool answered; /* a call has succeeded: the login is good */
  int timeout_ms;
  tsh_err trouble; /* the last connection error, kept for timeouts */
  kafka_req *all;  /* not freed yet */
  kafka_req *reqs; /* of these, under way */
  kafka_req *done; /* finished, to be told */
  kafka_reader *reader;
  /* Blocking calls on the thread pool; destroy waits for the last. */
  pthread_mutex_t lock;
  pthread_cond_t idle;
  int blocking;
};

/* A row of the table. `start` begins the call; `read` turns a result event
 * into `out`, or starts a further step and answers KAFKA_MORE. */
enum { KAFKA_MORE = 1 };
typedef int kafka_start(kafka_req *req, tsh_err *err);
typedef int kafka_read(kafka_req *req, rd_kafka_event_t *event, tsh_err *err);

/* What a primitive does to the cluster. VALIDATES: it writes, but can be sent
 * to be judged only (argument 2 has validate_only). */
typedef enum kafka_class { READS, WRITES, VALIDATES } kafka_class;

struct tsh_kafka_primitive {
  const char *name;
  tsh_kafka_role role;
  kafka_class class;
  kafka_start *start;
  kafka_read *read;
};

/* name and class: the functions are tsh_kafka__NAME and tsh_kafka__NAME_read.
 * Rows of readers and producers have no result events. */
/* clang-format off */
#define KAFKA_CLIENT_PRIMITIVES(X) \
  X(cluster, READS)                \
  X(topics, READS)                 \
  X(describe_topics, READS)        \
  X(configs, READS)                \
  X(offsets, READS)                \
  X(groups, READS)                 \
  X(describe_groups, READS)        \
  X(group_offsets, READS)          \
  X(acls, READS)                   \
  X(users, READS)                  \
  X(create_topics, VALIDATES)      \
  X(delete_topics, WRITES)         \
  X(add_partitions, VALIDATES)     \
  X(delete_records, WRITES)        \
  X(alter_configs, VALIDATES)      \
  X(alter_group_offsets, WRITES)   \
  X(delete_group_offsets, WRITES)  \
  X(delete_groups, WRITES)         \
  X(create_acls, WRITES)           \
  X(delete_acls, WRITES)           \
  X(alter_users, WRITES)
#define KAFKA_READER_PRIMITIVES(X) \
  X(read, READS)                   \
  X(position, READS)
#define KAFKA_PRODUCER_PRIMITIVES(X) \
  X(produce, WRITES)                 \
  X(flush, WRITES)                   \
  X(init, WRITES)                    \
  X(begin, WRITES)                   \
  X(commit, WRITES)                  \
  X(abort, WRITES)                   \
  X(send_offsets, WRITES)

/* clang-format on */
#define DECLARE_CLIENT(NAME, CLASS)                                            \
  kafka_start tsh_kafka__##NAME;                                               \
  kafka_read tsh_kafka__##NAME##_read;
#define DECLARE_PLAIN(NAME, CLASS) kafka_start tsh_kafka__##NAME;
KAFKA_CLIENT_PRIMITIVES(DECLARE_CLIENT)
KAFKA_READER_PRIMITIVES(DECLARE_PLAIN)
KAFKA_PRODUCER_PRIMITIVES(DECLARE_PLAIN)
kafka_read tsh_kafka__read_read;
#undef DECLARE_CLIENT
#undef DECLARE_PLAIN

struct kafka_req {
  tsh_kafka_req pub; /* first member */
  tsh_kafka *kafka;  /* NULL once the handle is closed */
  tsh_kafka *owner;  /* the same, for blocking work */
  const tsh_kafka_primitive *primitive;
  kafka_req *next, *all_next;
  tsh_pool *pool;
  const tsh_data *args;
  tsh_data *out; /* the answer being built */
  uint64_t deadline;
  tsh_timer *retry;
  int step;                        /* of calls that take several */
  void *state;                     /* of the primitive, in the pool */
  void (*release)(kafka_req *req); /* of what is not in the pool */
  size_t items, failed, transient; /* of the answer, see tsh_kafka__item */
  int pending;  /* result events or blocking work still to come */
  bool working; /* on the thread pool */
  bool canceled, finished, freed;
  int (*run)(kafka_req *req, tsh_err *err);  /* on the thread pool */
  int (*then)(kafka_req *req, tsh_err *err); /* afterwards, on the loop */
  tsh_work work;
};

/* kafka_err.c */
int tsh_kafka__fail(tsh_err *err, rd_kafka_resp_err_t code, const char *text);
int tsh_kafka__fail_error(tsh_err *err, rd_kafka_error_t *error); /* frees */
bool tsh_kafka__is_transient(rd_kafka_resp_err_t code);

/* kafka_conf.c */
/* kafka_token.c: what login by OAUTHBEARER needs, else nothing. */
int tsh_kafka__token_login(struct tsh_login **out, const tsh_kafka_setup *setup,
                           tsh_err *err);
void tsh_kafka__token_conf(tsh_kafka *kafka, rd_kafka_conf_t *conf);
int tsh_kafka__token_start(tsh_kafka *kafka, tsh_err *err);

rd_kafka_conf_t *tsh_kafka__conf(const tsh_kafka_setup *setup, tsh_err *err);
int tsh_kafka__settings(rd_kafka_conf_t *conf, const tsh_data *settings,
                        tsh_err *err);
int tsh_kafka__set(rd_kafka_conf_t *conf, const char *name, const char *value,
                   tsh_err *err);

/* kafka.c: a queue that rings a bell, and no longer */
void tsh_kafka__hook(rd_kafka_queue_t *queue, tsh_bell *bell);
void tsh_kafka__unhook(rd_kafka_queue_t *queue);

/* kafka_req.c */
void tsh_kafka__rung(void *kafka);
void tsh_kafka__end_all(tsh_kafka *kafka);
/* A late answer to a call that has ended has come: frees it after the last. */
void tsh_kafka__forget(kafka_req *req);
void tsh_kafka__finish(kafka_req *req, int status);
/* Runs `req->run` on the thread pool, then `then` (or finishes) on the loop. */
int tsh_kafka__block(kafka_req *req, int (*run)(kafka_req *, tsh_err *),
                     int (*then)(kafka_req *, tsh_err *));
/* Argument `position` as a table; raises TSH_INVALID otherwise. */
const tsh_data *tsh_kafka__table_arg(kafka_req *req, size_t position,
                                     tsh_err *err);
/* An item of a partly failing answer: counts it, and adds `err` to it. */
void tsh_kafka__item(kafka_req *req, tsh_data *item, rd_kafka_resp_err_t code,
                     const char *text);

/* kafka_admin.c */
/* Options of the request now to be sent; destroy after use. */
rd_kafka_AdminOptions_t *tsh_kafka__options(kafka_req *req,
                                            rd_kafka_admin_op_t op);
/* As above, with validate_only from argument `position`. */
rd_kafka_AdminOptions_t *tsh_kafka__write_options(kafka_req *req,
                                                  rd_kafka_admin_op_t op,
                                                  size_t position);
void *tsh_kafka__array(kafka_req *req, size_t count, size_t size);
rd_kafka_topic_partition_list_t *
tsh_kafka__partitions(const tsh_data *list, const char *offset, tsh_err *err);
void tsh_kafka__add_operations(kafka_req *req, tsh_data *to,
                               const rd_kafka_AclOperation_t *operations,
                               size_t count);
int tsh_kafka__invalid(tsh_err *err, const char *what);
void tsh_kafka__add_node(kafka_req *req, tsh_data *to, const char *name,
                         const rd_kafka_Node_t *node);
const char *tsh_kafka__operation_name(rd_kafka_AclOperation_t operation);
/* For primitives that talk to a coordinator: whether the cluster has one
 * already. Asking for it would make its topic, and reading creates nothing. */
int tsh_kafka__find_coordinator(kafka_req *req, tsh_err *err);
bool tsh_kafka__has_coordinator(rd_kafka_event_t *event);

/* kafka_users.c: whether ACLs and users may be looked at */
enum { KAFKA_MAY_WE, KAFKA_LIST };
bool tsh_kafka__may_describe(rd_kafka_event_t *event);
int tsh_kafka__refused_to_look(tsh_err *err);

/* kafka_consumer.c, kafka_producer.c: the roles behind kafka.c */
int tsh_kafka__reader_conf(rd_kafka_conf_t *conf, const tsh_data *args,
                           tsh_err *err);
int tsh_kafka__reader_open(tsh_kafka *kafka, const tsh_data *args,
                           tsh_err *err);
void tsh_kafka__reader_serve(tsh_kafka *kafka);
void tsh_kafka__reader_close(tsh_kafka *kafka);
void tsh_kafka__reader_destroy(tsh_kafka *kafka);
int tsh_kafka__producer_conf(rd_kafka_conf_t *conf, const tsh_data *args,
                             tsh_err *err);
void tsh_kafka__producer_serve(tsh_kafka *kafka, rd_kafka_event_t *event);

#endif
