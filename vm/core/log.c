/* Log lines: four levels and one sink, behind one lock. */
#include "tranship/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "tranship/buf.h"
#include "tranship/secret.h"

enum { LONGEST_LINE = 8192 };

static const char *const names[] = {"debug", "info", "warn", "error"};

static void to_stderr(tsh_level level, const char *line, void *user) {
  (void)user;
  fprintf(stderr, "tranship: %s: %s\n", names[level], line);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_int lowest = TSH_WARN;
static tsh_log_sink sink = to_stderr;
static void *sink_user;

const char *tsh_level_name(tsh_level level) { return names[level]; }

int tsh_level_find(const char *name) {
  for (int i = TSH_DEBUG; i <= TSH_ERROR; i++)
    if (strcmp(names[i], name) == 0)
      return i;
  return -1;
}

void tsh_log_set_level(tsh_level level) { atomic_store(&lowest, (int)level); }

tsh_level tsh_log_level(void) { return (tsh_level)atomic_load(&lowest); }

void tsh_log_set_sink(tsh_log_sink new_sink, void *user) {
  pthread_mutex_lock(&lock);
  sink = new_sink != NULL ? new_sink : to_stderr;
  sink_user = user;
  pthread_mutex_unlock(&lock);
}

void tsh_log(tsh_level level, const char *format, ...) {
  char line[LONGEST_LINE];
  tsh_buf clean;
  va_list args;

  if ((int)level < atomic_load(&lowest))
    return;
  va_start(args, format);
  vsnprintf(line, sizeof line, format, args);
  va_end(args);
  tsh_buf_init(&clean, 2 * sizeof line);
  tsh_secret_redact(line, strlen(line), &clean);
  pthread_mutex_lock(&lock);
  sink(level,
       clean.failed ? "(a line too long to redact)" : tsh_buf_text(&clean),
       sink_user);
  pthread_mutex_unlock(&lock);
  tsh_buf_fini(&clean);
}
