/* Handles: one librdkafka instance each, and the table of primitives.
 *
 * Every librdkafka instance has one queue. librdkafka rings our bell when
 * something is in it, and the bell's callback on the loop turns results into
 * answers. Nothing polls. */
#include "kafka_int.h"

#include <stdlib.h>

#include "tranship/login.h"

enum { DEFAULT_TIMEOUT_MS = 10000 };

/* The table. */

/* clang-format off */
#define CLIENT_ROW(NAME, CLASS) \
  {#NAME, TSH_KAFKA_CLIENT, CLASS, tsh_kafka__##NAME, tsh_kafka__##NAME##_read},
#define READER_ROW(NAME, CLASS) \
  {#NAME, TSH_KAFKA_READER, CLASS, tsh_kafka__##NAME, tsh_kafka__read_read},
#define PRODUCER_ROW(NAME, CLASS) \
  {#NAME, TSH_KAFKA_PRODUCER, CLASS, tsh_kafka__##NAME, NULL},

static const tsh_kafka_primitive primitives[] = {
  KAFKA_CLIENT_PRIMITIVES(CLIENT_ROW)
  KAFKA_READER_PRIMITIVES(READER_ROW)
  KAFKA_PRODUCER_PRIMITIVES(PRODUCER_ROW)
};
/* clang-format on */

const tsh_kafka_primitive *tsh_kafka_primitives(size_t *count) {
  *count = sizeof primitives / sizeof *primitives;
  return primitives;
}

const tsh_kafka_primitive *tsh_kafka_primitive_at(size_t index) {
  return &primitives[index];
}

const char *tsh_kafka_primitive_name(const tsh_kafka_primitive *primitive) {
  return primitive->name;
}

tsh_kafka_role tsh_kafka_primitive_role(const tsh_kafka_primitive *primitive) {
  return primitive->role;
}

bool tsh_kafka_primitive_writes(const tsh_kafka_primitive *primitive) {
  return primitive->class != READS;
}

/* Opening. */

static void ring(rd_kafka_t *rk, void *user) {
  (void)rk;
  tsh_bell_ring(user);
}

void tsh_kafka__unhook(rd_kafka_queue_t *queue) {
  rd_kafka_queue_cb_event_enable(queue, NULL, NULL);
}

void tsh_kafka__hook(rd_kafka_queue_t *queue, tsh_bell *bell) {
  rd_kafka_queue_cb_event_enable(queue, ring, bell);
  tsh_bell_ring(bell); /* what came before the hook rings nobody */
}

static int new_instance(tsh_kafka *kafka, rd_kafka_conf_t *conf,
                        rd_kafka_type_t type, tsh_err *err) {
  char why[256];
  rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR |
                                     RD_KAFKA_EVENT_LOG);
  tsh_kafka__token_conf(kafka, conf);
  kafka->rk = rd_kafka_new(type, conf, why, sizeof why);
  if (!kafka->rk) {
    rd_kafka_conf_destroy(conf);
    return tsh_err_set(err, TSH_INVALID, "kafka", 0, "%s", why);
  }
  rd_kafka_set_log_queue(kafka->rk, NULL);
  kafka->queue = rd_kafka_queue_get_main(kafka->rk);
  return tsh_kafka__token_start(kafka, err);
}

/* Takes `conf` and `template`, also on failure; keeps `login`. */
static int open_role(tsh_kafka **out, tsh_kafka_role role, tsh_loop *loop,
                     rd_kafka_conf_t *conf, rd_kafka_conf_t *template,
                     tsh_login *login, tsh_err *err) {
  tsh_kafka *kafka = calloc(1, sizeof *kafka);
  if (!kafka) {
    rd_kafka_conf_destroy(conf);
    if (template)
      rd_kafka_conf_destroy(template);
    return tsh_err_set(err, TSH_NO_MEMORY, "kafka", 0, "no memory");
  }
  kafka->role = role;
  kafka->loop = loop;
  kafka->conf = template;
  kafka->login = tsh_login_keep(login);
  pthread_mutex_init(&kafka->lock, NULL);
  pthread_cond_init(&kafka->idle, NULL);
  int status = new_instance(
      kafka, conf,
      role == TSH_KAFKA_PRODUCER ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER, err);
  if (status) {
    tsh_kafka_destroy(kafka);
    return status;
  }
  kafka->bell = tsh_bell_open(loop, tsh_kafka__rung, kafka);
  tsh_kafka__hook(kafka->queue, kafka->bell);
  *out = kafka;
  return 0;
}

int tsh_kafka_open(tsh_kafka **out, tsh_loop *loop,
                   const tsh_kafka_setup *setup, tsh_err *err) {
  rd_kafka_conf_t *conf = tsh_kafka__conf(setup, err);
  if (!conf)
    return TSH_INVALID;
  tsh_login *login;
  int status = tsh_kafka__token_login(&login, setup, err);
  if (status) {
    rd_kafka_conf_destroy(conf);
    return status;
  }
  status = open_role(out, TSH_KAFKA_CLIENT, loop, rd_kafka_conf_dup(conf), conf,
                     login, err);
  tsh_login_release(login);
  if (status)
    return status;
  (*out)->mode = setup->mode;
  (*out)->timeout_ms =
      setup->timeout_ms > 0 ? setup->timeout_ms : DEFAULT_TIMEOUT_MS;
  return 0;
}

static int role_conf(rd_kafka_conf_t *conf, tsh_kafka_role role,
                     const tsh_data *args, tsh_err *err) {
  int status = role == TSH_KAFKA_READER
                   ? tsh_kafka__reader_conf(conf, args, err)
                   : tsh_kafka__producer_conf(conf, args, err);
  return status
             ? status
             : tsh_kafka__settings(conf, tsh_data_get(args, "settings"), err);
}

int tsh_kafka_open_role(tsh_kafka **out, const tsh_kafka *client,
                        tsh_kafka_role role, const tsh_data *args,
                        tsh_err *err) {
  if (client->mode != TSH_KAFKA_MAY_WRITE && role == TSH_KAFKA_PRODUCER)
    return tsh_err_set(err, TSH_READ_ONLY, "kafka", 0,
                       "a producer writes, and this client only reads");
  rd_kafka_conf_t *conf = rd_kafka_conf_dup(client->conf);
  int status = role_conf(conf, role, args, err);
  if (status) {
    rd_kafka_conf_destroy(conf);
    return status;
  }
  tsh_kafka *kafka = NULL;
  status =
      open_role(&kafka, role, client->loop, conf, NULL, client->login, err);
  if (status)
    return status;
  kafka->timeout_ms = client->timeout_ms;
  if (role == TSH_KAFKA_READER)
    status = tsh_kafka__reader_open(kafka, args, err);
  if (status) {
    tsh_kafka_close(kafka);
    tsh_kafka_destroy(kafka);
    return status;
  }
  *out = kafka;
  return 0;
}

/* Closing. */

void tsh_kafka_close(tsh_kafka *kafka) {
  atomic_store(&kafka->leaving, true);
  tsh_kafka__unhook(kafka->queue);
  tsh_kafka__reader_close(kafka);
  tsh_bell_close(kafka->bell);
  kafka->bell = NULL;
  tsh_kafka__end_all(kafka);
}

void tsh_kafka_destroy(void *handle) {
  tsh_kafka *kafka = handle;
  pthread_mutex_lock(&kafka->lock);
  while (kafka->blocking > 0)
    pthread_cond_wait(&kafka->idle, &kafka->lock);
  pthread_mutex_unlock(&kafka->lock);
  tsh_kafka__reader_destroy(kafka);
  if (kafka->queue)
    rd_kafka_queue_destroy(kafka->queue);
  if (kafka->rk)
    rd_kafka_destroy_flags(kafka->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
  if (kafka->conf)
    rd_kafka_conf_destroy(kafka->conf);
  tsh_login_release(kafka->login);
  pthread_mutex_destroy(&kafka->lock);
  pthread_cond_destroy(&kafka->idle);
  free(kafka);
}

tsh_kafka_role tsh_kafka_role_of(const tsh_kafka *kafka) { return kafka->role; }

tsh_kafka_mode tsh_kafka_mode_of(const tsh_kafka *kafka) { return kafka->mode; }
