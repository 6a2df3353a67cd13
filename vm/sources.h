/* The embedded library: source text by path, sorted; see embed.cmake. */
#ifndef TRANSHIP_SOURCES_H
#define TRANSHIP_SOURCES_H

#include <stddef.h>

typedef struct tsh_source {
  const char *path;       /* "kafka/topic.lua", "vm/task.lua" */
  const char *chunk_name; /* "=stdlib/kafka/topic.lua" */
  const unsigned char *text;
  size_t length;
} tsh_source;

extern const tsh_source tsh_sources[];
extern const size_t tsh_source_count;

#endif
