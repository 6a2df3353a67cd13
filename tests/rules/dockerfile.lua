-- The Dockerfile, read: nothing here can build it (no container runtime), so what
-- can go wrong with its text is looked at: instructions, files it copies, and
-- that its last stage has every library that the program is linked with.
local test = ...
local sys = require "vm.sys"
local host = require "vm.host"

--- Instructions with their lines joined: { word, rest }.
local function instructions()
  local text = assert(sys.read_file "Dockerfile"):gsub("\n#[^\n]*", "")
    :gsub("^#[^\n]*", ""):gsub("\\\n", " ")
  local list = {}
  for line in text:gmatch "[^\n]+" do
    local word, rest = line:match "^(%u+)%s+(.*)$"
    assert(word, "no instruction: " .. line)
    list[#list + 1] = { word = word, rest = rest }
  end
  return list
end

local KNOWN = { FROM = true, WORKDIR = true, COPY = true, RUN = true,
  USER = true, ENTRYPOINT = true, CMD = true }

--- Libraries of the C compiler's and of sanitizers; they come by themselves.
local OWN = { "^libc%.so", "^libm%.so", "^libgcc_s", "^libstdc%+%+", "^ld%-linux",
  "^libasan", "^libubsan", "^libtsan", "^libclang_rt" }

local function is_own(name)
  for _, pattern in ipairs(OWN) do
    if name:find(pattern) then return true end
  end
end

test("its instructions and files are there", function(t)
  local stages, last = 0, {}
  for _, one in ipairs(instructions()) do
    t.ok(KNOWN[one.word], one.word)
    if one.word == "FROM" then
      t.match(one.rest, "^debian:12%-slim")
      stages, last = stages + 1, {}
    elseif one.word == "COPY" and not one.rest:find "^%-%-from" then
      for path in one.rest:gsub("%s%S+$", ""):gmatch "%S+" do
        t.ok(sys.stat(path), path .. " is not there")
      end
    end
    last[one.word] = one.rest
  end
  t.equal(stages, 2)
  t.match(last.USER, "^%d+:%d+$") -- Kubernetes sees only of numbers that it is no root
  t.ok(tonumber(last.USER:match "%d+") > 0)
  t.equal(last.ENTRYPOINT, '["tranship"]')
  t.match(sys.read_file "Dockerfile", "tranship:" .. host.version:gsub("%p", "%%%0"))
end)

test("its last stage has the libraries of the program", function(t)
  local text = sys.read_file "Dockerfile":match "FROM[^\n]*\nRUN apt.*$"
  local needed = t.ok(sys.run { "readelf", "-d", sys.executable() }).stdout
  local names, paths = {}, {}
  local folder = t.ok(sys.run { "ldconfig", "-p" }).stdout
    :match "libcrypto%.so%.3 [^\n]*=> (/%S+)/"
  for name in needed:gmatch "%(NEEDED%)[^%[]*%[([^%]]+)%]" do
    if not is_own(name) then
      names[#names + 1] = name
      paths[#paths + 1] = folder .. "/" .. name
      paths[#paths + 1] = "/usr" .. folder .. "/" .. name -- one or the other
    end
  end
  t.ok(#names > 5, "only " .. #names)
  local owners = t.ok(sys.run { "dpkg", "-S", table.unpack(paths) }).stdout
  for _, name in ipairs(names) do
    local package = t.ok(owners:match("([^:\n]+):[^\n]*/"
      .. name:gsub("%p", "%%%0") .. "\n"), name .. " is of no package")
    t.ok(text:find("%s" .. package:gsub("%p", "%%%0") .. "%f[%s]"),
      ("%s (of package %s) is missing"):format(name, package))
  end
end)
