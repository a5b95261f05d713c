"""spaCy tokenizes the languages that it carries, builds and trains a small pipeline from its registries and templates, matches and stores documents."""
import importlib.metadata
import importlib.util
import os
import random
import tempfile

import spacy
from spacy import displacy
from spacy.lang.en.stop_words import STOP_WORDS
from spacy.matcher import Matcher, PhraseMatcher
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example


def check(ok, what):
    if not ok:
        raise SystemExit("spacy: " + what)


check(importlib.metadata.version("spacy") == spacy.about.__version__, "metadata and module disagree on the version")
for language, text, least in (("en", "Don't stop, it costs $9.99!", 8), ("de", "Das kostet z.B. 3,50 Euro.", 5), ("fr", "L'été, aujourd'hui.", 4), ("es", "¿Cómo estás?", 4), ("ru", "Привет, мир!", 4), ("xx", "a b", 2)):
    if not importlib.util.find_spec("spacy.lang." + language):
        print("skipped: " + language + " (the layer does not carry it)")
        continue
    check(len(spacy.blank(language)(text)) >= least, "tokens of " + language)
nlp = spacy.blank("en")
nlp.add_pipe("sentencizer")
nlp.add_pipe("entity_ruler").add_patterns([{"label": "ORG", "pattern": [{"LOWER": "acme"}]}])
doc = nlp("Acme ships layers. It isn't large.")
check([s.text for s in doc.sents] == ["Acme ships layers.", "It isn't large."] and doc.ents[0].label_ == "ORG" and [t.text for t in doc[4:7]] == ["It", "is", "n't"], "pipeline")
check("the" in STOP_WORDS and doc[0].is_title and doc[3].is_punct and doc[0].shape_ == "Xxxx" and nlp.vocab.strings[nlp.vocab.strings["layers"]] == "layers", "lexicon")
matcher = Matcher(nlp.vocab)
matcher.add("M", [[{"TEXT": {"REGEX": "^ship"}}, {"IS_ALPHA": True}]])
phrases = PhraseMatcher(nlp.vocab, attr="LOWER")
phrases.add("P", [nlp.make_doc("ships LAYERS")])
check(doc[matcher(doc)[0][1]:matcher(doc)[0][2]].text == "ships layers" and len(phrases(doc)) == 1, "matchers")
check('class="entity"' in displacy.render(doc, style="ent", page=True, jupyter=False), "displacy")
random.seed(0)
spacy.util.fix_random_seed(0)
trained = spacy.blank("en")
labels = trained.add_pipe("textcat")
examples = [Example.from_dict(trained.make_doc(t), {"cats": {"GOOD": float(g), "BAD": float(not g)}}) for t, g in (("good layer", 1), ("bad layer", 0), ("very good", 1), ("very bad", 0))]
optimizer = trained.initialize(lambda: examples)
for _ in range(15):
    trained.update(examples, sgd=optimizer)
check(set(labels.labels) == {"GOOD", "BAD"} and trained("good").cats["GOOD"] > trained("bad").cats["GOOD"], "training")
with tempfile.TemporaryDirectory() as folder:
    trained.to_disk(os.path.join(folder, "m"))
    check(spacy.load(os.path.join(folder, "m"))("good").cats["GOOD"] > 0.5, "stored pipeline")
back = list(DocBin(docs=[doc], store_user_data=True).get_docs(nlp.vocab))[0]
check(back.text == doc.text and Doc(nlp.vocab, words=["a", "b"]).text == "a b " and Span(doc, 0, 2, label="X").label_ == "X", "stored documents")
for pipe in ("tagger", "parser", "ner", "lemmatizer", "morphologizer", "spancat", "tok2vec", "attribute_ruler", "entity_linker", "senter"):
    check(spacy.blank("en").has_factory(pipe), "factory " + pipe)
try:
    spacy.load("en_no_such_model")
    raise SystemExit("spacy: a model that is not there is loaded")
except OSError:
    pass
