/* The embedded library, compiled: chunk i is tsh_sources[i]; made while
 * building, by vm/embed/compile.c. */
#ifndef TRANSHIP_CHUNKS_H
#define TRANSHIP_CHUNKS_H

#include <stddef.h>

typedef struct tsh_chunk {
  const unsigned char *bytes;
  size_t length;
} tsh_chunk;

extern const tsh_chunk tsh_chunks[];

#endif
