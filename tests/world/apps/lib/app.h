/*
 * What the demo's applications share: options, clock, clean stop, a librdkafka
 * configuration. They are ordinary Kafka clients and know nothing of tranship,
 * so that what they write down can be used to check it.
 */
#ifndef WORLD_APP_H
#define WORLD_APP_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Every option any of the programs takes; each reads those it needs. */
struct options {
  const char *app;
  const char *bootstrap;
  const char *cluster; /* a name for the trail, e.g. "old" */
  const char *trail;   /* the audit file this program appends to */
  const char *from;    /* topic to read */
  const char *to;      /* topic to write */
  const char *group;
  const char *reset; /* auto.offset.reset; "error": no position, no start */
  long rate;         /* records per second */
  long keys;         /* different keys */
  long records;      /* total; 0 = until told to stop */
};

/* Fills `options` from argv; prints usage and exits on a mistake. */
void app_options(struct options *options, int argc, char **argv);

/* Set by TERM and INT; loops look at it. */
extern volatile bool app_stopping;
void app_catch_signals(void);

/* Milliseconds since 1970, and monotonic microseconds. */
int64_t app_wall_ms(void);
int64_t app_now_us(void);

/* Prints one line to stderr and exits 1. */
_Noreturn void app_die(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

void app_set(rd_kafka_conf_t *conf, const char *name, const char *value);

/* A configuration with bootstrap servers, client id, quiet reconnects, and the
 * login of KAFKA_PROTOCOL, _CA, _CERTIFICATE, _KEY, _MECHANISM, _USER,
 * _PASSWORD. */
rd_kafka_conf_t *app_conf(const struct options *options);

/* Opens a client that owns `conf`; exits when librdkafka refuses it. */
rd_kafka_t *app_open(rd_kafka_type_t type, rd_kafka_conf_t *conf);

/* Makes a topic known before its first record; without, that one waits a second
 * for librdkafka to find the partition's leader. The caller destroys it. */
rd_kafka_topic_t *app_learn(rd_kafka_t *rk, const char *topic);

/* Topic's partitions with the log's start and end, waiting for the metadata. */
struct span {
  int64_t start, end;
};
int app_spans(rd_kafka_t *rk, const char *topic, struct span *spans, int max);

#endif
