--- How objects should be, and what they lack: one engine for goals about
-- Kubernetes objects, as kafka.shape is for topics. What a wanted object does
-- not say is anybody's. Fields are applied under this run's name; those of others
-- are a conflict that names them, and nothing is forced.

local context = require "base.context"
local difference = require "kube.difference"
local err = require "base.err"
local json = require "vm.json"
local manager = require "kube.change".manager
local waiting = require "kube.waiting"

local M = {}

---@class tranship.WantedObject
---@field object table     apiVersion, kind, metadata, and what else it must say
---@field ready? string    the condition it must have
---@field failed? fun(there: any): string?  why it will never have it
---@field tells? fun(there: any): string   what its status says, for people
---@field within_ms? integer  how long that may take

---@class tranship.ObjectLack
---@field want tranship.WantedObject
---@field called string
---@field there table|false  what is there, as a table
---@field differences tranship.Difference[]
---@field unready? string    what its status says instead
---@field going? string      it is being deleted, and what holds it

local function kind_of(given) return given.apiVersion .. "/" .. given.kind end

local function called(kube, given)
  return ("%s %s on %s"):format(given.kind, given.metadata.name, kube.name)
end

local function going(there)
  if not there.metadata.deletionTimestamp then return nil end
  local list = there.metadata.finalizers or {}
  return #list > 0 and "its finalizers hold it: " .. table.concat(list, ", ")
    or "it is going"
end

--- What is asked for, without the names that find it.
local function asked(given)
  local out = {}
  for key, value in pairs(given) do out[key] = value end
  out.apiVersion, out.kind = nil, nil
  out.metadata = { labels = given.metadata.labels, annotations = given.metadata.annotations }
  return out
end

local function lack_of(kube, want)
  local given = want.object
  local there, why = kube:find(kind_of(given), given.metadata.name,
    { namespace = given.metadata.namespace })
  if there == nil then return nil, why end
  local lack = { want = want, called = called(kube, given), there = false, differences = {} }
  if not there then return lack end
  lack.there = json.copy(there)
  lack.going = going(lack.there)
  lack.differences = difference.list(asked(given), lack.there)
  if want.ready and not waiting.has_condition(lack.there, want.ready) then
    lack.unready = (want.tells or waiting.state_text)(lack.there)
  end
  return lack
end

local function is_content(lack)
  return lack.there and not lack.going and #lack.differences == 0 and not lack.unready
end

--- What the wanted objects lack, each that lacks anything.
---@async
---@param wanted tranship.WantedObject[]
---@return tranship.ObjectLack[]?, tranship.Err?
function M.lacks(kube, wanted)
  local lacks = {}
  for _, want in ipairs(wanted) do
    local lack, why = lack_of(kube, want)
    if not lack then return nil, why end
    if not is_content(lack) then lacks[#lacks + 1] = lack end
  end
  return lacks
end

--- One line for people for everything that is lacking.
---@param lacks tranship.ObjectLack[]
---@return string[]
function M.lines(lacks)
  local lines = {}
  local function add(lack, text) lines[#lines + 1] = lack.called .. text end
  for _, lack in ipairs(lacks) do
    if not lack.there then
      add(lack, " is not there")
    elseif lack.going then
      add(lack, " is being deleted: " .. lack.going)
    end
    for _, one in ipairs(lack.differences) do add(lack, ": " .. difference.text(one)) end
    if lack.unready and not lack.going and #lack.differences == 0 then
      add(lack, (" is not %s: %s"):format(lack.want.ready, lack.unready))
    end
  end
  return lines
end

--- Notes what is there of all that will change: plain data, to be remembered
-- before the first effect.
---@param lacks tranship.ObjectLack[]
function M.before(lacks)
  local list = json.array {}
  for _, lack in ipairs(lacks) do
    local given = lack.want.object
    if not lack.there or #lack.differences > 0 then
      list[#list + 1] = {
        kind = kind_of(given), name = given.metadata.name,
        namespace = given.metadata.namespace,
        uid = lack.there and lack.there.metadata.uid or false,
        differences = json.array(lack.differences), ready = lack.want.ready,
      }
    end
  end
  return { manager = manager(), objects = list }
end

--- The err of a wait in vain, in the words of whoever knows the object.
local function in_vain(kube, lack, why)
  local given = lack.want.object
  local there = why.kind == "timeout" and lack.want.tells
    and kube:find(kind_of(given), given.metadata.name, { namespace = given.metadata.namespace })
  if not there then return why end
  return err.new { kind = "timeout", origin = "kube", retriable = true, cause = why,
    message = ("%s did not become %s: %s"):format(lack.called, lack.want.ready,
      lack.want.tells(there)) }
end

local function wait(kube, lack, uid)
  local want, given = lack.want, lack.want.object
  if not want.ready or context.get().phase == "plan" then return true end
  local there, why = kube:wait_for(kind_of(given), given.metadata.name, {
    namespace = given.metadata.namespace, condition = want.ready, uid = uid,
    failed = want.failed, within_ms = want.within_ms,
  })
  if there == nil then return nil, in_vain(kube, lack, why) end
  return true
end

local function make_one(kube, lack)
  local given, uid = lack.want.object, lack.there and lack.there.metadata.uid or nil
  if lack.going then
    return nil, err.new { kind = "conflict", origin = "kube",
      message = ("%s is being deleted: %s"):format(lack.called, lack.going) }
  end
  if not lack.there or #lack.differences > 0 then
    local words = lack.there and difference.in_words_of(given, lack.there) or given
    local made, why = kube:apply(words, { uid = uid, namespace = given.metadata.namespace })
    if made == nil then return nil, why end
    if context.get().phase ~= "plan" then uid = made.metadata.uid end
  end
  return wait(kube, lack, uid)
end

--- Does what is lacking, one object after the other.
---@async
---@param lacks tranship.ObjectLack[]
---@return true?, tranship.Err?
function M.make(kube, lacks)
  for _, lack in ipairs(lacks) do
    local done, why = make_one(kube, lack)
    if done == nil then return nil, why end
  end
  return true
end

--- Whether one of the object's fields bears that manager's name.
---@param there any
---@param name string
---@return boolean
function M.is_by(there, name)
  for _, entry in ipairs(there.metadata.managedFields or {}) do
    if entry.manager == name then return true end
  end
  return false
end

local function drop(kube, entry, there, before, ways)
  local what = ("%s %s on %s"):format(entry.kind:match "[^/]+$", entry.name, kube.name)
  if not M.is_by(there, before.manager) then
    ways.say(what .. " stays: it is not the one that was made here")
    return true
  end
  local because, why
  if ways.keep then because, why = ways.keep(entry, there) end
  if because == nil and why then return nil, why end
  if because then
    ways.say(("%s stays: %s"):format(what, because))
    return true
  end
  local options = { namespace = entry.namespace, uid = there.metadata.uid }
  if ways.remove then return ways.remove(entry, there, options) end
  return kube:delete(entry.kind, entry.name, options)
end

local function restore(kube, entry, there, ways)
  local what = ("%s %s on %s"):format(entry.kind:match "[^/]+$", entry.name, kube.name)
  if there.metadata.uid ~= entry.uid then
    ways.say(what .. " is left alone: it was deleted and made again meanwhile")
    return true
  end
  local patch = difference.back(entry.differences, there)
  if not patch then return true end
  local done, why = kube:patch(entry.kind, entry.name, patch, { namespace = entry.namespace,
    summary = ("put back what %s said"):format(what) })
  if done == nil then return nil, why end
  if not entry.ready then return true end
  return kube:wait_for(entry.kind, entry.name, { namespace = entry.namespace,
    condition = entry.ready, uid = entry.uid })
end

---@class tranship.WaysBack
---@field say fun(text: string)
---@field keep? fun(entry: table, there: any): string|false|nil, tranship.Err?  why it stays
---@field remove? fun(entry: table, there: any, options: table): any, tranship.Err?

--- Returns to what was noted, last object first.
---@async
---@param before table  of M.before
---@param ways tranship.WaysBack
---@return true?, tranship.Err?
function M.put_back(kube, before, ways)
  for at = #before.objects, 1, -1 do
    local entry = before.objects[at]
    local there, why = kube:find(entry.kind, entry.name, { namespace = entry.namespace })
    local done = there ~= nil and true or nil
    if there then
      local seen = json.copy(there)
      if entry.uid then
        done, why = restore(kube, entry, seen, ways)
      else
        done, why = drop(kube, entry, seen, before, ways)
      end
    end
    if done == nil then return nil, why end
  end
  return true
end

--- The lack as an answer; `notes` are differences that stay, and why.
---@param lines string[]
---@param notes string[]
---@param want string  for people
---@return tranship.Answer
function M.answer(lines, notes, want)
  local shown = #lines > 0 and lines or notes
  local text = table.concat(shown, "; ", 1, math.min(#shown, 3))
  if #shown > 3 then text = text .. ("; and %d more"):format(#shown - 3) end
  if #lines == 0 and #notes > 0 then text = want .. ", except: " .. text end
  return { ok = #lines == 0, want = want, seen = { lacks = lines, differs = notes },
    text = text ~= "" and text or want }
end

return M
