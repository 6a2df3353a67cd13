-- Files: whole ones, appended ones, locks, and what is watched.
local test = ...
local sys = require "vm.sys"
local task = require "vm.task"

local function remove_all(path)
  if sys.stat(path).kind == "folder" then
    for _, name in ipairs(sys.list(path)) do remove_all(path .. "/" .. name) end
  end
  sys.remove(path)
end

local function folder()
  local path = assert(sys.temporary_folder "tranship-test")
  return path, setmetatable({}, { __close = function() remove_all(path) end })
end

test("write, read, list, rename, remove", function(t)
  local path, _ <close> = folder()
  t.ok(sys.write_file(path .. "/b", "two\0bytes", { mode = 384 }))
  t.ok(sys.write_file(path .. "/a", "", { atomic = true, sync = true }))
  t.equal(sys.read_file(path .. "/b"), "two\0bytes")
  t.equal(sys.stat(path .. "/b").mode, 384)
  t.equal(sys.list(path), { "a", "b" })
  t.ok(sys.rename(path .. "/a", path .. "/c"))
  t.ok(sys.remove(path .. "/c"))
  t.fails("not found", sys.read_file(path .. "/c"))
  t.fails("invalid", sys.read_file(path))
end)

test("an atomic write leaves the old text when it fails", function(t)
  local path, _ <close> = folder()
  t.fails("not found", sys.write_file(path .. "/x/y", "new", { atomic = true }))
  t.equal(sys.list(path), {})
end)

test("folders with parents; one that is there is fine", function(t)
  local path, _ <close> = folder()
  local deep = path .. "/a/b/c"
  t.fails("not found", sys.mkdir(deep))
  t.ok(sys.mkdir(deep, { parents = true }))
  t.ok(sys.mkdir(deep, { parents = true }))
  t.fails("exists", sys.mkdir(deep))
  t.equal(sys.stat(deep).kind, "folder")
  t.equal(sys.realpath(path .. "/a/../a/b"), sys.realpath(path .. "/a/b"))
end)

test("append files grow, and sync waits", function(t)
  local path, _ <close> = folder()
  local name = path .. "/j"
  local file <close> = t.ok(sys.append(name))
  for i = 1, 3 do
    t.ok(file:write(i .. "\n"))
    t.ok(file:sync())
  end
  t.equal(file:size(), 6)
  t.equal(sys.read_file(name), "1\n2\n3\n")
end)

test("a closed file says so", function(t)
  local path, _ <close> = folder()
  local file = t.ok(sys.append(path .. "/j"))
  file:close()
  file:close()
  t.raises("sys.file is closed", file.write, file, "x")
  t.match(file, "closed")
end)

test("a file closed while its sync is under way is still synced", function(t)
  local path, _ <close> = folder()
  local file = t.ok(sys.append(path .. "/j"))
  file:write "x"
  local one = task.spawn(function() return t.ok(file:sync()) end)
  task.sleep(0)
  file:close()
  t.ok(one:join())
end)

test("a full disk is an io error, and no torn line stays", function(t)
  if not sys.stat "/dev/full" then t.fail "no /dev/full" end
  local file <close> = t.ok(sys.append "/dev/full")
  local _, why = file:write "text"
  t.match(why, "No space left")
end)

test("watch tells of changes", function(t)
  local path, _ <close> = folder()
  local watch <close> = t.ok(sys.watch(path))
  sys.write_file(path .. "/new", "x")
  t.equal(task.deadline(5000, function() return watch:next() end), "new")
  t.fails("not found", sys.watch(path .. "/absent"))
end)

test("signals are taken by who asked for them", function(t)
  local signals <close> = t.ok(sys.signals { "USR1", "USR2" })
  sys.kill(sys.pid(), "USR1")
  t.equal(task.deadline(5000, function() return signals:next() end), "USR1")
  local waits = task.spawn(function() return signals:next() end)
  task.sleep(1)
  t.fails("conflict", signals:next())
  sys.kill(sys.pid(), "USR2")
  t.equal({ waits:join() }, { true, "USR2" })
end)

test("a feed that is closed tells who waits", function(t)
  local signals = t.ok(sys.signals { "USR1" })
  local waits = task.spawn(function() return signals:next() end)
  task.sleep(1)
  signals:close()
  local _, value, why = waits:join()
  t.fails("closed", value, why)
end)
