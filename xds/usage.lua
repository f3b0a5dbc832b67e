-- Notes the token counts that a response ends with, as it passes: nothing is held
-- back, and no more than LIMIT bytes are kept. Works on JSON and on server-sent
-- events alike, wherever the body is split. The last object counts, and what it
-- lacks is in the last one before it that counts input, which is noted, too.
local find, match, sub = string.find, string.match, string.sub

local LIMIT = 4096 -- of a usage object; real ones have some hundred bytes
local REACH = 256  -- how far a usage object begins before its first count

-- Keys that count tokens end like this. Inside of a JSON string, such as an
-- answer about this API, the quote would be escaped.
local COUNT = '_tokens"'

local function counts_input(object)
  return find(object, '"input_tokens"', 1, true) or find(object, '"prompt_tokens"', 1, true)
end

-- Returns the last complete usage object of text, the last before it that counts
-- input, and from where text must be kept to find one that is not complete. object
-- and input are those before text; nil: none.
local function last_usage(text, object, input)
  local keep = #text - REACH + 1
  local from = 1
  while true do
    local key, after = find(text, '"usage"', from, true)
    if not key then
      return object, input, keep
    end
    local brace = match(text, '^%s*:%s*(){', after + 1)
    if brace then
      local whole = match(text, '^%b{}', brace)
      if not whole then
        if #text - key < LIMIT and key < keep then
          keep = key
        end
        return object, input, keep
      end
      if #whole <= LIMIT and find(whole, COUNT, 1, true) then
        if object and counts_input(object) then
          input = object
        end
        object = whole
        -- Done with: what follows is looked at without it.
        if keep < brace + #whole then
          keep = brace + #whole
        end
      end
      from = brace + #whole
    else
      from = after + 1
    end
  end
end

function envoy_on_response(handle)
  local headers = handle:headers()
  local kind = headers:get("content-type")
  if not kind or headers:get("content-encoding") then
    return
  end
  if not find(kind, "json", 1, true) and not find(kind, "text/event-stream", 1, true) then
    return
  end
  local kept = ""
  local begun = false -- a usage object that is not complete is kept
  local object, input -- see last_usage
  for chunk in handle:bodyChunks() do
    local length = chunk:length()
    if length > 0 then
      local text = kept .. chunk:getBytes(0, length)
      if begun or find(text, COUNT, 1, true) then
        local before, keep = object, nil
        object, input, keep = last_usage(text, object, input)
        if object ~= before then
          -- At once: a client may hang up before the response is over.
          local note = input and input .. "\30" .. object or object
          handle:streamInfo():dynamicMetadata():set("wye.usage", "usage", note)
        end
        kept = sub(text, keep > 1 and keep or 1)
        begun = find(kept, COUNT, 1, true) ~= nil
      else
        kept = sub(text, -REACH)
      end
    end
  end
end
