// Functions of the server that a page may call; what goes wrong there arrives as one sentence.

/** The answer of a server function. Throws an Error with a sentence for the person. */
export async function call(serverFunction, argument = {}) {
  let answer;
  try {
    answer = await serverFunction(argument);
  } catch {
    answer = undefined;
  }
  if (!answer) throw new Error("Stillroom does not answer. Check that it is still running, then reload the page.");
  if (!answer.ok) throw new Error(answer.error);
  return answer;
}
