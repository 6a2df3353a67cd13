/* The modules of vm, one line each: X(name) stands for luaopen_vm_<name>,
 * which `require "vm.<name>"` calls. A file vm/bind/<name>.lua, if there is
 * one, is the module's Lua half: it gets the C table and adds to it. */
X(err)
X(host)
X(log)
X(task)
X(json)
X(secret)
X(sys)
X(sandbox)
X(edit)
X(kafka)
X(wire)
X(digest)
X(mirror)
X(server)
X(offsets)
X(places)
