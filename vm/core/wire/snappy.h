/* libsnappy, loaded when the first such batch is opened or packed: it brings
 * the C++ library along, and that would slow down the start of every short
 * command. Its functions keep their names. */
#ifndef TRANSHIP_WIRE_SNAPPY_H
#define TRANSHIP_WIRE_SNAPPY_H

#include <snappy-c.h>

#include "tranship/err.h"

#define TSH_SNAPPY_FUNCTIONS(X)                                                \
  X(snappy_compress)                                                           \
  X(snappy_max_compressed_length)                                              \
  X(snappy_uncompress)                                                         \
  X(snappy_uncompressed_length)

typedef struct tsh_wire__snappy {
#define X(name) __typeof__(&name) name;
  TSH_SNAPPY_FUNCTIONS(X)
#undef X
} tsh_wire__snappy;

extern tsh_wire__snappy tsh_snappy;

/* Before any of them is called; any thread. */
int tsh_wire__load_snappy(tsh_err *err);

#ifndef TSH_SNAPPY_LOADER
#define snappy_compress tsh_snappy.snappy_compress
#define snappy_max_compressed_length tsh_snappy.snappy_max_compressed_length
#define snappy_uncompress tsh_snappy.snappy_uncompress
#define snappy_uncompressed_length tsh_snappy.snappy_uncompressed_length
#endif

#endif
