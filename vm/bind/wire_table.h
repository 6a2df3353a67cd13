/* Kafka's messages as Lua tables: what wire.c needs of wire_table.c. */
#ifndef TRANSHIP_BIND_WIRE_TABLE_H
#define TRANSHIP_BIND_WIRE_TABLE_H

#include "bind.h"
#include "tranship/proto.h"

/* Encodes the table at `index` as a request; raises on what does not fit.
 * `out` is the caller's to free. */
void tsh_bind_write_message(lua_State *L, int index, const tsh_message *msg,
                            int16_t version, struct iovec *out);
/* Pushes a response as a table and returns 1, or nil and an err and 2. */
int tsh_bind_push_message(lua_State *L, const tsh_message *msg, int16_t version,
                          const void *data, size_t size);

#endif
