/* Options, signals, clocks and client configuration of the demo's programs. */
#include "app.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

enum { METADATA_TRIES = 100, METADATA_WAIT_MS = 100, CALL_MS = 10000 };

volatile bool app_stopping;
static const char *program = "app";

void app_die(const char *format, ...) {
  va_list args;
  va_start(args, format);
  fprintf(stderr, "%s: ", program);
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
  va_end(args);
  exit(1);
}

static long number(const char *text) {
  char *end;
  long value = strtol(text, &end, 10);
  if (*text == '\0' || *end != '\0' || value < 0)
    app_die("'%s' is not a number", text);
  return value;
}

void app_options(struct options *options, int argc, char **argv) {
  static const struct option table[] = {
      {"bootstrap", required_argument, NULL, 'b'},
      {"cluster", required_argument, NULL, 'c'},
      {"trail", required_argument, NULL, 'a'},
      {"from", required_argument, NULL, 'f'},
      {"to", required_argument, NULL, 't'},
      {"group", required_argument, NULL, 'g'},
      {"reset", required_argument, NULL, 'o'},
      {"rate", required_argument, NULL, 'r'},
      {"keys", required_argument, NULL, 'k'},
      {"records", required_argument, NULL, 'n'},
      {NULL, 0, NULL, 0},
  };
  int c;
  program = options->app;
  if (getenv("WORLD_DIE_WITH_PARENT"))
    prctl(PR_SET_PDEATHSIG, SIGKILL);
  while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
    switch (c) {
      case 'b':
        options->bootstrap = optarg;
        break;
      case 'c':
        options->cluster = optarg;
        break;
      case 'a':
        options->trail = optarg;
        break;
      case 'f':
        options->from = optarg;
        break;
      case 't':
        options->to = optarg;
        break;
      case 'g':
        options->group = optarg;
        break;
      case 'o':
        options->reset = optarg;
        break;
      case 'r':
        options->rate = number(optarg);
        break;
      case 'k':
        options->keys = number(optarg);
        break;
      case 'n':
        options->records = number(optarg);
        break;
      default:
        exit(2);
    }
  }
  if (optind < argc)
    app_die("what is '%s'?", argv[optind]);
  if (!options->bootstrap)
    app_die("--bootstrap HOST:PORT is missing");
  if (!options->cluster)
    app_die("--cluster NAME is missing");
  if (!options->trail)
    app_die("--trail FILE is missing");
}

static void on_signal(int signal) {
  (void)signal;
  app_stopping = true;
}

void app_catch_signals(void) {
  struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
}

int64_t app_wall_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t app_now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void app_set(rd_kafka_conf_t *conf, const char *name, const char *value) {
  char why[256];
  if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK)
    app_die("%s", why);
}

/* Who the program is, as a pod is told it: from its environment, which comes
 * from Secrets. */
static void set_login(rd_kafka_conf_t *conf) {
  static const struct {
    const char *variable, *setting;
  } known[] = {{"KAFKA_PROTOCOL", "security.protocol"},
               {"KAFKA_CA", "ssl.ca.pem"},
               {"KAFKA_CERTIFICATE", "ssl.certificate.pem"},
               {"KAFKA_KEY", "ssl.key.pem"},
               {"KAFKA_MECHANISM", "sasl.mechanisms"},
               {"KAFKA_USER", "sasl.username"},
               {"KAFKA_PASSWORD", "sasl.password"}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    const char *value = getenv(known[i].variable);
    if (value && *value)
      app_set(conf, known[i].setting, value);
  }
}

rd_kafka_conf_t *app_conf(const struct options *options) {
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  app_set(conf, "bootstrap.servers", options->bootstrap);
  app_set(conf, "client.id", options->app);
  app_set(conf, "broker.address.family", "v4");
  app_set(conf, "reconnect.backoff.ms", "50");
  app_set(conf, "reconnect.backoff.max.ms", "500");
  app_set(conf, "log.connection.close", "false");
  app_set(conf, "log_level", "3");
  set_login(conf);
  return conf;
}

rd_kafka_t *app_open(rd_kafka_type_t type, rd_kafka_conf_t *conf) {
  char why[256];
  rd_kafka_t *rk = rd_kafka_new(type, conf, why, sizeof why);
  if (!rk)
    app_die("%s", why);
  return rk;
}

rd_kafka_topic_t *app_learn(rd_kafka_t *rk, const char *topic) {
  const struct rd_kafka_metadata *metadata;
  rd_kafka_topic_t *handle = rd_kafka_topic_new(rk, topic, NULL);
  if (rd_kafka_metadata(rk, 0, handle, &metadata, CALL_MS) == 0)
    rd_kafka_metadata_destroy(metadata);
  return handle;
}

static int count_partitions(rd_kafka_t *rk, const char *topic) {
  const struct rd_kafka_metadata *metadata;
  rd_kafka_topic_t *handle = rd_kafka_topic_new(rk, topic, NULL);
  int count = 0;
  for (int tries = 0; tries < METADATA_TRIES && count == 0; tries++) {
    if (rd_kafka_metadata(rk, 0, handle, &metadata, CALL_MS) == 0) {
      if (metadata->topic_cnt == 1 && metadata->topics[0].err == 0)
        count = metadata->topics[0].partition_cnt;
      rd_kafka_metadata_destroy(metadata);
    }
    if (count == 0) {
      struct timespec wait = {.tv_nsec = METADATA_WAIT_MS * 1000000L};
      nanosleep(&wait, NULL);
    }
  }
  rd_kafka_topic_destroy(handle);
  return count;
}

int app_spans(rd_kafka_t *rk, const char *topic, struct span *spans, int max) {
  int count = count_partitions(rk, topic);
  if (count == 0)
    app_die("no topic %s", topic);
  if (count > max)
    app_die("%s has more than %d partitions", topic, max);
  for (int p = 0; p < count; p++) {
    rd_kafka_resp_err_t why = rd_kafka_query_watermark_offsets(
        rk, topic, p, &spans[p].start, &spans[p].end, CALL_MS);
    if (why)
      app_die("%s/%d: %s", topic, p, rd_kafka_err2str(why));
  }
  return count;
}
