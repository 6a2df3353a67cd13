-- Lua 5.4, nothing global but what the language brings.
std = "lua54"
max_line_length = 100
max_comment_line_length = 130 -- annotations do not wrap
self = false
unused_args = false
-- What is closed at the end of its block is used by that.
ignore = { "211/_.*", "211/restore", "211/cleanup" }

-- The library waits on the loop: blocking files and processes are vm.sys's.
files["stdlib"] = {
  not_globals = { "io", "os", "dofile", "loadfile", "print" },
}
files["stdlib/meta"] = { unused = false, ignore = { "1", "2", "3", "631" } }
-- Runbooks and recipes are made of words.
files["scripts"] = { std = "lua54", ignore = { "11" }, max_line_length = 140 }
files["tests/world/books"] = { std = "lua54", ignore = { "11" }, max_line_length = 140 }
files["tests"] = { ignore = { "11" } }
-- Runbooks that are wrong on purpose.
exclude_files = { "tests/runbook/check/*.lua" }
