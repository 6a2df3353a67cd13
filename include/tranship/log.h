/* Log lines: four levels and one sink.
 *
 * Any thread may log. A line passes the redaction of live secrets before the
 * sink sees it. The sink is called under a lock: it must not log itself. */
#ifndef TRANSHIP_LOG_H
#define TRANSHIP_LOG_H

typedef enum tsh_level { TSH_DEBUG, TSH_INFO, TSH_WARN, TSH_ERROR } tsh_level;

void tsh_log(tsh_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Lines below `level` are dropped before they are formatted. Default: warn. */
void tsh_log_set_level(tsh_level level);
tsh_level tsh_log_level(void);
const char *tsh_level_name(tsh_level level);
/* The level of that name, or -1. */
int tsh_level_find(const char *name);

/* Replaces the sink (default: one line on stderr); NULL brings that back. */
typedef void (*tsh_log_sink)(tsh_level level, const char *line, void *user);
void tsh_log_set_sink(tsh_log_sink sink, void *user);

#endif
