-- Lua 5.4, nothing global but what the language brings.
std = "lua54"
max_line_length = 100
self = false
unused_args = false

-- The library waits on the loop: blocking files and processes are vm.sys's.
files["stdlib"] = {
  not_globals = { "io", "os", "dofile", "loadfile", "print" },
}
files["stdlib/meta"] = { unused = false, ignore = { "1", "2", "3" } }
-- Runbooks and recipes are made of words.
files["scripts"] = { std = "lua54", ignore = { "11" } }
files["tests"] = { ignore = { "11" } }
