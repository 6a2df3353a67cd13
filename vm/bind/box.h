/* The box as sandbox.c sees it; what the scheduler asks is in state.h. */
#ifndef TRANSHIP_BIND_BOX_H
#define TRANSHIP_BIND_BOX_H

#include "state.h"

/* Makes the class; its methods are the table on top, which is popped. */
void tsh_box_class(lua_State *L);
int tsh_box_new(lua_State *L); /* (options) -> box */
tsh_box *tsh_box_check(lua_State *L, int index);
/* Counts output; false when the limit is passed: then call tsh_box_stop. */
bool tsh_box_charge_output(tsh_box *box, size_t bytes);
/* Pushes { instructions, output, memory } used so far. */
void tsh_box_usage(lua_State *L, const tsh_box *box);
/* Whether code of this box has to end now, which no pcall may hold up. */
bool tsh_box_must_stop(const tsh_box *box);
/* Ends the running code: yields for good, or raises where it cannot. */
int tsh_box_stop(lua_State *L, const tsh_box *box);

#endif
