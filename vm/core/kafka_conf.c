/* Configuration of librdkafka instances: login, what we always set, and the
 * allow-list of what a script may set. */
#include <stdio.h>
#include <string.h>

#include "kafka_int.h"

/* Always set. Reading must leave no trace: no commits, no topics. */
static const char *const fixed[][2] = {
    {"allow.auto.create.topics", "false"},
    {"enable.auto.commit", "false"},
    {"enable.auto.offset.store", "false"},
    {"enable.metrics.push", "false"},
    {"log.queue", "true"},
    {"socket.keepalive.enable", "true"},
    {"reconnect.backoff.ms", "50"},
    {"reconnect.backoff.max.ms", "1000"},
    /* The broker that speaks for its cluster is asked for again this often:
     * requests go to the one last heard of, and it may be gone. */
    {"topic.metadata.refresh.interval.ms", "5000"},
};

/* What a script may set; everything that changes what a call means (groups,
 * commits, login, callbacks) is ours. */
static const char *const allowed[] = {
    "acks",
    "batch.num.messages",
    "batch.size",
    "broker.address.family",
    "broker.address.ttl",
    "check.crcs",
    "client.dns.lookup",
    "client.rack",
    "compression.codec",
    "compression.level",
    "compression.type",
    "connections.max.idle.ms",
    "delivery.timeout.ms",
    "enable.idempotence",
    "fetch.error.backoff.ms",
    "fetch.max.bytes",
    "fetch.message.max.bytes",
    "fetch.min.bytes",
    "fetch.wait.max.ms",
    "linger.ms",
    "max.in.flight.requests.per.connection",
    "max.partition.fetch.bytes",
    "message.max.bytes",
    "message.timeout.ms",
    "metadata.max.age.ms",
    "partitioner",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "queued.max.messages.kbytes",
    "queued.min.messages",
    "receive.message.max.bytes",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "request.timeout.ms",
    "retries",
    "retry.backoff.max.ms",
    "retry.backoff.ms",
    "socket.connection.setup.timeout.ms",
    "socket.keepalive.enable",
    "socket.nagle.disable",
    "socket.receive.buffer.bytes",
    "socket.send.buffer.bytes",
    "socket.timeout.ms",
    "ssl.cipher.suites",
    "ssl.curves.list",
    "ssl.endpoint.identification.algorithm",
    "ssl.sigalgs.list",
    "topic.metadata.propagation.max.ms",
    "topic.metadata.refresh.interval.ms",
    "transaction.timeout.ms",
};

int tsh_kafka__set(rd_kafka_conf_t *conf, const char *name, const char *value,
                   tsh_err *err) {
  char why[256];
  if (rd_kafka_conf_set(conf, name, value, why, sizeof why) == RD_KAFKA_CONF_OK)
    return 0;
  return tsh_err_set(err, TSH_INVALID, "kafka", 0, "%s: %s", name, why);
}

static bool is_allowed(const char *name) {
  for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
    if (strcmp(allowed[i], name) == 0)
      return true;
  return false;
}

static const char *as_text(const tsh_data *value, char *room, size_t size) {
  switch (value->kind) {
    case TSH_DATA_TEXT:
      return value->as.text.bytes;
    case TSH_DATA_FLAG:
      return value->as.flag ? "true" : "false";
    case TSH_DATA_NUMBER:
      snprintf(room, size, "%lld", (long long)value->as.number);
      return room;
    default:
      return NULL;
  }
}

int tsh_kafka__settings(rd_kafka_conf_t *conf, const tsh_data *settings,
                        tsh_err *err) {
  TSH_DATA_EACH(item, settings) {
    char room[24];
    const char *value = as_text(item, room, sizeof room);
    if (!item->name || !value)
      return tsh_kafka__invalid(err, "settings must be name = value");
    if (!is_allowed(item->name))
      return tsh_err_set(err, TSH_INVALID, "kafka", 0,
                         "setting '%s' is not one that may be set", item->name);
    int status = tsh_kafka__set(conf, item->name, value, err);
    if (status)
      return status;
  }
  return 0;
}

static int set_all(rd_kafka_conf_t *conf, const tsh_kafka_setup *setup,
                   tsh_err *err) {
  char socket_timeout[24];
  snprintf(socket_timeout, sizeof socket_timeout, "%d",
           setup->timeout_ms > 0 ? setup->timeout_ms : 10000);
  const char *const given[][2] = {
      {"bootstrap.servers", setup->bootstrap},
      {"client.id", setup->name},
      {"security.protocol", setup->protocol},
      {"sasl.mechanism", setup->mechanism},
      {"sasl.username", setup->user},
      {"sasl.password", setup->password},
      {"ssl.ca.pem", setup->ca},
      {"ssl.certificate.pem", setup->cert},
      {"ssl.key.pem", setup->key},
      {"ssl.key.password", setup->key_password},
      {"socket.timeout.ms", socket_timeout},
      {"topic.metadata.propagation.max.ms", "2000"},
  };
  int status = 0;
  for (size_t i = 0; !status && i < sizeof fixed / sizeof *fixed; i++)
    status = tsh_kafka__set(conf, fixed[i][0], fixed[i][1], err);
  for (size_t i = 0; !status && i < sizeof given / sizeof *given; i++)
    if (given[i][1])
      status = tsh_kafka__set(conf, given[i][0], given[i][1], err);
  return status ? status : tsh_kafka__settings(conf, setup->settings, err);
}

rd_kafka_conf_t *tsh_kafka__conf(const tsh_kafka_setup *setup, tsh_err *err) {
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  if (set_all(conf, setup, err) == 0)
    return conf;
  rd_kafka_conf_destroy(conf);
  return NULL;
}
