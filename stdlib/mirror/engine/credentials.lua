--- How an engine logs in to its two clusters, without a secret in any file or
-- argument. The configuration holds references: env:NAME and file:PATH, read
-- where the engine starts, and looked at again while it works, for a password
-- or certificate that was replaced. What has no such source is written as
-- "given": the run that starts the engine hands it over, through a pipe that
-- is its standard input, and so does every later run that has to start it
-- again; what is renewed meanwhile comes through a pipe beside its lock. A side
-- is a cluster's declaration: name, bootstrap, login, ca, tls.

local login = require "kafka.login"
local secret = require "vm.secret"
local sys = require "vm.sys"
local err = require "base.err"

local M = {}

local GIVEN = "given"

--- Where secrets stand in a side; those with `text` may be plain PEM instead.
local FIELDS = {
  { "ca", text = true }, { "login", "cert", text = true }, { "login", "key" },
  { "login", "key_password" }, { "login", "password" },
}

local function get(side, field)
  local value = side
  for _, name in ipairs(field) do value = value and value[name] end
  return value
end

local function copy_of(side)
  local copy = {}
  for name, value in pairs(side) do copy[name] = value end
  if side.login then
    copy.login = {}
    for name, value in pairs(side.login) do copy.login[name] = value end
  end
  copy.references = nil
  return copy
end

local function put(side, field, value)
  if field[2] then side = side[field[1]] end
  side[field[#field]] = value
end

local function is_pem(field, value)
  return field.text and type(value) == "string" and value:find "%-%-%-%-%-BEGIN"
end

--- "env:NAME", "file:/PATH", or "given".
local function reference(value)
  local source = secret.is(value) and value:source() or GIVEN
  local path = source:match "^file:(.*)$"
  return path and "file:" .. (sys.realpath(path) or path) or source
end

--- A side as it may be written down, and its secrets by their place.
---@param refer_to? fun(place: string): string  where they will be found, if
-- that is not where they are from: "from.login.password" to "file:..."
---@return table side, table<string, any> secrets
function M.refer(side, at, refer_to)
  local written, secrets = copy_of(side), {}
  local known = side.references or {}
  for _, field in ipairs(FIELDS) do
    local value, place = get(side, field), table.concat(field, ".")
    if value and not is_pem(field, value) then
      local full = at .. "." .. place
      put(written, field, refer_to and refer_to(full) or known[place]
        or reference(value))
      secrets[full] = value
    end
  end
  return written, secrets
end

local function read(from)
  local scheme, rest = tostring(from):match "^(%a+):(.+)$"
  if scheme == "env" then return secret.from_env(rest) end
  if scheme == "file" then return secret.from_file(rest) end
  return nil, from == GIVEN and "it is handed over by the run and is nowhere "
    .. "else: go on by the runbook, or write env:NAME or file:PATH there"
    or "it is no reference: write env:NAME or file:PATH"
end

--- The side with its secrets, from references or from what was given. What
-- cannot be had is told all at once.
---@param side table     as refer wrote it, or as somebody typed it
---@param at string      "from" or "to"
---@param given? table<string, any>
---@return table? side, tranship.Err?
function M.resolve(side, at, given)
  if type(side) ~= "table" then return side end -- mirror.engine.spec says so
  local whole, problems, references = copy_of(side), {}, {}
  for _, field in ipairs(FIELDS) do
    local from, place = get(side, field), table.concat(field, ".")
    if from and not is_pem(field, from) then
      local value, why = given and given[at .. "." .. place], nil
      if not value then value, why = read(from) end
      put(whole, field, value)
      references[place] = from
      if not value then
        problems[#problems + 1] = ("%s of '%s' cannot be had: %s"):format(place,
          at, tostring(why))
      end
    end
  end
  whole.references = next(references) and references or nil
  if #problems == 0 then return whole end
  return nil, err.new { kind = "auth", origin = "bridge",
    message = table.concat(problems, "; ") }
end

--- Every secret of a side by its place, plain PEM too.
---@return table<string, any>
function M.all(side, at)
  local all = {}
  for _, field in ipairs(FIELDS) do
    all[at .. "." .. table.concat(field, ".")] = get(side, field)
  end
  return all
end

--- The side with what its files hold now, and for the rest with what was handed
-- over, if that is something else.
---@param given? table<string, any>
---@return table? side
function M.renewed(side, at, given)
  local fresh, changed = copy_of(side), false
  for _, field in ipairs(FIELDS) do
    local place, had = table.concat(field, "."), get(side, field)
    local from = side.references and side.references[place]
    local value
    if from and from:find "^file:" then
      value = read(from)
    else
      value = given and given[at .. "." .. place]
    end
    if value and had and login.mark(value) ~= login.mark(had) then
      put(fresh, field, value)
      changed = true
    end
  end
  fresh.references = side.references
  return changed and fresh or nil
end

--- Can anything of the side change under it?
function M.may_change(side)
  for _, from in pairs(side.references or {}) do
    if from:find "^file:" then return true end
  end
  return false
end

return M
